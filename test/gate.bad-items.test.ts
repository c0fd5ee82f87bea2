import { randomUUID } from 'node:crypto';
import { Claim } from '../src/gate/gate.entities';
import { LedgerEntry, LedgerKind } from '../src/wallet/ledger-entry.entity';
import { Budget } from '../src/wallet/wallet.entity';
import { createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf } from './support/books';
import { startCallers, type Callers } from './support/callers';
import { buildAction, buildKey, buildProject } from './support/factories';
import { buildSlowAction } from './support/slow-action';
import { startUpstream, type Upstream } from './support/upstream';

jest.setTimeout(90_000); // other test files share the processors

let app: TestApp;
let callers: Callers;

beforeAll(async () => {
  app = await createTestApp();
  callers = startCallers(40);
});
afterAll(async () => {
  await callers.close();
  await app.close();
});

describe('one bad item never fails its tick:', () => {
  let upstream: Upstream;
  let name: string;

  /** Makes one call for each of `count` projects. Returns when all calls are in flight. */
  async function callsInFlight(count: number) {
    upstream = await startUpstream();
    ({ name } = await buildAction(app, { upstreamUrl: upstream.url }));
    const keys = await Promise.all(Array.from({ length: count }, () => buildKey(app, { permissions: ['face.*'] })));
    const running = keys.map(({ secret }) => callers.call({ url: app.url, secret, service: 'face', body: { action: name } }));
    await upstream.arrived(count);
    return { keys, running };
  }

  it('if the ledger refuses a bill, its call is voided and gets a 500, and the other calls are billed', async () => {
    const { keys, running } = await callsInFlight(12);
    const { id: accountId } = keys[5]?.project as { id: string };
    const { entrySeq } = await app.database.reader.findOneByOrFail(Budget, { projectId: accountId });
    const place = { accountId, seq: entrySeq + 1 }; // the number that the bill needs
    await app.database.transaction(async (tx) => {
      await tx.insert(LedgerEntry, { ...place, kind: LedgerKind.ADJUSTMENT, delta: 1, balanceAfter: 1, createdAt: new Date() });
    });
    upstream.release();
    const answers = await Promise.all(running);
    expect(answers.map(({ status }) => status)).toEqual(keys.map(({ project }) => (project.id === accountId ? 500 : 200)));
    await app.database.transaction((tx) => tx.delete(LedgerEntry, place));
    for (const { project } of keys) {
      const billed = project.id !== accountId;
      expect(await accountOf(app, project.id)).toMatchObject({
        balance: billed ? 999_000 : 1_000_000,
        held: 0,
        holds: 0,
        bills: billed ? 1 : 0,
      });
    }
    expect(await faultsOf(app)).toEqual([]);
  });

  it('a budget that breaks its CHECK delays only its own call, and the others are billed and swept', async () => {
    const { keys, running } = await callsInFlight(6);
    const [broken, ...others] = keys.map(({ project }) => project.id) as [string, ...string[]];
    const [waiting, ...served] = running;
    const setHeld = (held: number) =>
      app.database.transaction((tx) => tx.query(`UPDATE budgets SET held = ${held} WHERE project_id = '${broken}'`));
    await setHeld(0); // ending the hold would now make `held` negative
    try {
      upstream.release();
      expect((await Promise.all(served)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
      for (const id of others) expect(await accountOf(app, id)).toMatchObject({ balance: 999_000, held: 0, bills: 1 });

      // Beside the hold that cannot end, there are an expired hold of another project and an expired claim.
      const { upstream: hanging, project, call } = await buildSlowAction(app, callers);
      const dead = call(app.url);
      await hanging.arrived(1);
      const { secret, key } = await buildKey(app);
      expect((await app.rest({ secret, body: { requestId: randomUUID() } })).status).toBe(200);
      app.travel(25 * 3_600_000);
      await app.sweep.once();
      expect(app.logLines.join('')).toContain('sweep: holds were left');
      expect(await accountOf(app, project.id)).toMatchObject({ held: 0, holds: 0 });
      expect(await app.database.reader.countBy(Claim, { credentialId: key.id })).toBe(0);
      expect(await accountOf(app, broken)).toMatchObject({ balance: 1_000_000, holds: 1, bills: 0 });
      hanging.release();
      expect((await dead).status).toBe(503);
    } finally {
      await setHeld(1_000);
    }
    expect((await waiting)?.status).toBe(200); // the gate has retried all the time
    expect(await accountOf(app, broken)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1 });
    expect(await faultsOf(app)).toEqual([]);
  });
});

it('leaves the books of all projects in order', async () => {
  await buildProject(app);
  expect(await faultsOf(app)).toEqual([]);
});
