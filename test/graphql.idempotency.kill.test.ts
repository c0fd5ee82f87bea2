import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { MUTATION_LEASE_MS, MUTATION_KEPT_MS } from '../src/access/idempotency';
import { ApiKey } from '../src/keys/key.entity';
import { PEPPER, ROOT_KEY, type TestApp } from './support/app';
import { buildProject } from './support/factories';
import { startProcess } from './support/process';
import { until } from './support/until';
import { closeNodes, createNodes } from './support/nodes';
import { MINT, idempotency } from './support/idempotency';

// Processes that die, or are slow, during a mutation with an Idempotency-Key.

const CALLERS = 5;
const KILLS = 3;

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  [app, other] = await createNodes();
});

afterAll(() => closeNodes(other, app));

const { ask, later, countEvents, stored } = idempotency(() => [app, other]);

describe('a process that crashes', () => {
  /** Sends a mutation to a node that commits it but never stores its answer. */
  async function dieBeforeAnswer(query: string, input: Record<string, unknown>, key: string): Promise<void> {
    const hangUp = new AbortController();
    const settle = jest.spyOn(other.idempotency, 'settle').mockImplementation(() => new Promise(() => undefined));
    const lost = ask(query, { input }, { key, node: other, signal: hangUp.signal }).catch(() => undefined);
    await until(() => settle.mock.calls.length > 0, 'the mutation to be committed');
    hangUp.abort();
    await lost;
    settle.mockRestore();
  }

  it('after the commit: a retry gets IN_PROGRESS during the lease, then DONE with the id; the mutation does not run again', async () => {
    const { id: projectId } = await buildProject(app, { budget: 0 });
    const [key, input] = [randomUUID(), { projectId, name: 'Lost', permissions: [] }];
    await dieBeforeAnswer(MINT, input, key);
    expect(await ask(MINT, { input }, { key })).toMatchObject({ status: 409, reason: 'IN_PROGRESS', retryAfter: '1' });
    const { id } = await app.database.reader.findOneByOrFail(ApiKey, { projectId });
    await later(MUTATION_LEASE_MS + 1_000, async () => {
      expect(await ask(MINT, { input }, { key })).toMatchObject({
        status: 409,
        reason: 'DONE',
        errors: [{ extensions: { subjectId: id } }],
      });
    });
    expect(await app.database.reader.countBy(ApiKey, { projectId })).toBe(1);
  });

  it('before the commit: a retry runs the mutation after the lease has expired', async () => {
    const { id: projectId } = await buildProject(app, { budget: 0 });
    const [key, input] = [randomUUID(), { projectId, name: 'Never', permissions: [] }];
    const mint = jest.spyOn(other.services.keys, 'mint').mockImplementation(() => new Promise(() => undefined));
    const hangUp = new AbortController();
    const lost = ask(MINT, { input }, { key, node: other, signal: hangUp.signal }).catch(() => undefined);
    await until(() => mint.mock.calls.length > 0, 'the work to be begun, after the key was taken');
    hangUp.abort();
    await lost;
    mint.mockRestore();
    expect(await ask(MINT, { input }, { key })).toMatchObject({ status: 409, reason: 'IN_PROGRESS' });
    await later(MUTATION_LEASE_MS + 1_000, async () =>
      expect(await ask(MINT, { input }, { key })).toMatchObject({ replayed: null, data: { mintKey: { secret: expect.any(String) } } }),
    );
    expect(await app.database.reader.countBy(ApiKey, { projectId })).toBe(1);
  });

  it('with a clock that is a day ahead does not block retries for a day', async () => {
    const { id: projectId } = await buildProject(app, { budget: 0 });
    const [key, input] = [randomUUID(), { projectId, name: 'Ahead', permissions: [] }];
    await later(MUTATION_KEPT_MS, async () => {
      await dieBeforeAnswer(MINT, input, key);
      expect(await ask(MINT, { input }, { key })).toMatchObject({ reason: 'IN_PROGRESS' });
    });
    expect(await ask(MINT, { input }, { key })).toMatchObject({ reason: 'DONE' });
  });

  it('a process that is only slow: its late changes are rolled back after a retry has run', async () => {
    const { id: projectId } = await buildProject(app, { budget: 0 });
    const [key, input] = [randomUUID(), { projectId, name: 'Slow', permissions: [] }];
    const real = other.services.keys.mint.bind(other.services.keys);
    let wake: () => void = () => undefined;
    const asleep = new Promise<void>((resolve) => (wake = resolve));
    const mint = jest.spyOn(other.services.keys, 'mint').mockImplementation(async (...args) => {
      await asleep;
      return real(...args);
    });
    const slow = ask(MINT, { input }, { key, node: other });
    await until(async () => (await stored(key)) !== null, 'the key to be taken');
    const events = await later(MUTATION_LEASE_MS + 1_000, async () => {
      expect(await ask(MINT, { input }, { key })).toMatchObject({ replayed: null, data: { mintKey: { secret: expect.any(String) } } });
      return countEvents();
    });
    wake();
    expect((await slow).errors).toEqual([
      expect.objectContaining({ message: expect.stringContaining('A repeat replaced it'), extensions: { code: 'CONFLICT' } }),
    ]);
    mint.mockRestore();
    expect([await app.database.reader.countBy(ApiKey, { projectId }), await countEvents()]).toEqual([1, events]);
    expect(await ask(MINT, { input }, { key })).toMatchObject({ replayed: 'true' });
  });
});

it('mutations of a killed process have either run once, or run when they are retried; none runs twice', async () => {
  const { id: projectId } = await buildProject(app, { budget: 0 });
  const sent: string[] = [];
  const answered = new Map<string, { id: string; name: string }>();

  // Each API key is named after its Idempotency-Key, so that the test can find it
  const mint = async (url: string, key: string) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': ROOT_KEY, 'idempotency-key': key },
      body: JSON.stringify({ query: MINT, variables: { input: { projectId, name: key, permissions: [] } } }),
    });
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the shape of its answer
    return { status: response.status, ...((await response.json()) as any) };
  };

  for (let kill = 0; kill < KILLS; kill += 1) {
    const server = await startProcess({ env: { DATABASE_URL: app.databaseUrl, KEY_PEPPER: PEPPER, ROOT_KEY } });
    const url = await server.listening;
    const alive = { on: true };
    const before = answered.size;
    const load = Array.from({ length: CALLERS }, async () => {
      while (alive.on) {
        const key = randomUUID();
        sent.push(key);
        const answer = await mint(url, key).catch(() => undefined);
        if (answer?.data) answered.set(key, answer.data.mintKey.key);
      }
    });
    await until(() => answered.size >= before + 10, 'mutations to be answered before a kill');
    await wait(randomInt(50));
    server.kill('SIGKILL');
    await server.ended;
    alive.on = false;
    await Promise.all(load);
  }
  const open = sent.filter((key) => !answered.has(key));
  expect(open.length).toBeGreaterThan(0);

  app.travel(MUTATION_LEASE_MS + 1_000);
  const minted = async () => {
    const names = (await app.database.reader.find(ApiKey, { where: { projectId }, select: { name: true } })).map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    return new Set(names);
  };
  const done = await minted();
  for (const key of answered.keys()) expect(done.has(key)).toBe(true);
  for (const key of sent) {
    const { data, errors, extensions } = await mint(app.url, key);
    if (answered.has(key))
      expect([data.mintKey.key, data.mintKey.secret, extensions.idempotencyReplay]).toEqual([answered.get(key), null, true]);
    else if (!done.has(key))
      expect([errors, extensions.idempotencyReplay]).toEqual([undefined, undefined]); // it had not run before, and runs now
    else if (errors) expect([key, errors[0].extensions.reason]).toEqual([key, 'DONE']);
    else expect([data.mintKey.key.name, extensions.idempotencyReplay]).toEqual([key, true]);
  }
  expect([...(await minted())].sort()).toEqual([...sent].sort());
}, 120_000);
