import { AuditEvent } from '../src/audit/event.entity';
import type { TestApp } from './support/app';
import { faultsOf } from './support/books';
import { startCallers, tally, type CallAnswer, type Callers } from './support/callers';
import { ORIGIN, buildProject, buildServiceAccount, buildWorkspace } from './support/factories';
import { closeNodes, createNodes } from './support/nodes';
import { until } from './support/until';

jest.setTimeout(90_000); // other test files use the processors too

// Service accounts on several nodes of one installation. On SQLite there is one node, which plays both parts.

let a: TestApp;
let b: TestApp;
let callers: Callers;

beforeAll(async () => {
  [a, b] = await createNodes({ busy: true });
  callers = startCallers(24);
});
afterAll(async () => {
  await callers.close();
  await closeNodes(b, a);
});

/** Starts callers on both nodes. Each calls again and again with its current secret, until `stop`. */
function startFleet(size: number, secret: string, projectId: string) {
  const secrets = Array.from({ length: size }, () => secret);
  const answers: { answer: CallAnswer; secret: string; after: number }[] = [];
  const busy = { on: true };
  const sent: string[] = [];
  let phase = 0;
  const running = secrets.map(async (_, index) => {
    while (busy.on) {
      const [used, after] = [secrets[index] as string, phase];
      sent[index] = used;
      answers.push({ answer: await callers.call({ url: (index % 2 === 0 ? a : b).url, secret: used, projectId }), secret: used, after });
    }
  });
  return {
    secrets,
    /** The answers to calls sent after the last `next`. */
    now: () => answers.filter(({ after }) => after === phase).map(({ answer }) => answer),
    all: () => answers.map(({ answer }) => answer),
    next: () => (phase += 1),
    /** Whether every caller sent its last call with this secret. Then all earlier calls have been answered. */
    calls: (wanted: string) => sent.every((used) => used === wanted),
    calledWith: (wanted: string) => answers.filter(({ secret: used }) => used === wanted).length,
    stop: async () => {
      busy.on = false;
      await Promise.all(running);
    },
  };
}

it('many callers on all nodes change to a new secret under load, and no call is refused', async () => {
  const workspace = await buildWorkspace(a);
  const projects = [await buildProject(a, { workspace, budget: 1_000_000_000 }), await buildProject(a, { workspace })];
  const { account, secret } = await buildServiceAccount(a, { projects });
  const fleet = startFleet(24, secret, projects[0]?.id as string);
  await until(() => fleet.all().length >= 100, '100 calls');
  let current = secret;
  for (let rotation = 1; rotation <= 2; rotation += 1) {
    const { secret: next } = await a.services.serviceAccounts.rotate(ORIGIN, { id: account.id });
    for (const [index] of fleet.secrets.entries()) {
      const before = fleet.all().length;
      fleet.secrets[index] = next; // one caller after another, while the others still use the previous secret
      await until(() => fleet.all().length > before, 'a call more');
    }
    await until(() => fleet.calledWith(next) >= 100, '100 calls with the new secret');
    current = next;
  }
  // The end of the old secrets stops no caller.
  await until(() => fleet.calls(current), 'the last calls with the old secrets to be answered');
  fleet.next();
  for (const node of new Set([a, b])) node.travel(24 * 60 * 60 * 1000);
  await until(() => fleet.now().length >= 100, '100 calls after the old secrets have ended');
  await fleet.stop();
  expect(tally(fleet.all())).toEqual({ 200: fleet.all().length });
  expect(tally([await callers.call({ url: b.url, secret, projectId: projects[0]?.id as string })])).toEqual({ '401 REVOKED_API_KEY': 1 });
  expect(await faultsOf(a)).toEqual([]);
});

describe('after one node has answered a change, any busy node refuses calls of', () => {
  it.each([
    ['a disabled service account', '401 DISABLED_API_KEY', (id: string) => a.services.serviceAccounts.disable(ORIGIN, { id })],
    [
      'a secret that was replaced without grace',
      '401 REVOKED_API_KEY',
      (id: string) => a.services.serviceAccounts.rotate(ORIGIN, { id, graceSeconds: 0 }),
    ],
    [
      'a service account without the permission',
      '403 FORBIDDEN',
      (id: string) => a.services.serviceAccounts.update(ORIGIN, { id, permissions: ['demo.fail'] }),
    ],
    [
      'a service account without the project',
      '404 NOT_FOUND',
      (id: string) => a.services.serviceAccounts.update(ORIGIN, { id, projectIds: [] }),
    ],
    [
      'a service account with an archived project',
      '401 DISABLED_API_KEY',
      (_id: string, projectId: string) => a.services.projects.archive(ORIGIN, { id: projectId }),
    ],
  ])('%s', async (_case, refusal, end) => {
    const { account, secret, projects } = await buildServiceAccount(a, { budget: 1_000_000_000 });
    const projectId = projects[0]?.id as string;
    const fleet = startFleet(16, secret, projectId);
    await until(() => fleet.now().length >= 50, '50 answers');
    expect(tally(fleet.now().slice(0, 50))).toEqual({ 200: 50 });
    await end(account.id, projectId);
    fleet.next();
    await until(() => fleet.now().length >= 50, '50 answers more');
    await fleet.stop();
    expect(tally(fleet.now())).toEqual({ [refusal]: fleet.now().length });
    expect(await faultsOf(a)).toEqual([]);
  });
});

it('a due rotation has one event, even if all nodes look for it repeatedly and at the same time', async () => {
  const accounts = await Promise.all(Array.from({ length: 5 }, () => buildServiceAccount(a, { rotationDays: 1 })));
  for (const node of new Set([a, b])) node.travel(24 * 60 * 60 * 1000);
  const look = () => Promise.all([a, b, a, b].map((node) => node.rotations.once()));
  await look();
  await look();
  for (const { account } of accounts)
    expect(await a.database.reader.countBy(AuditEvent, { subjectId: account.id, action: 'service-account.rotation-due' })).toBe(1);
});
