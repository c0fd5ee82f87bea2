import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { createTestApp, type TestApp } from './support/app';
import { accountOf, faultsOf, outcomesOf } from './support/books';
import { startCallers, tally, type Callers } from './support/callers';
import { buildKey, buildProject } from './support/factories';
import { onMysql } from './support/on-database';
import { startProxy } from './support/proxy';
import { buildSlowAction } from './support/slow-action';
import { until } from './support/until';

jest.setTimeout(90_000); // other test files share the processors

onMysql('on a server', () => {
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

  /** Starts a node that reaches the database through a proxy. */
  async function proxiedNode() {
    const proxy = await startProxy(new URL(app.databaseUrl));
    const url = new URL(app.databaseUrl);
    url.port = String(proxy.port);
    return { proxy, node: await createTestApp({ databaseUrl: url.href }) };
  }

  // Statements that only a tick with admissions, or with settlements, sends.
  const ADMIT = 'INSERT INTO tick_holds';
  const SETTLE = 'DELETE FROM tick_holds';

  describe.each(['lost', 'unanswered', 'late'] as const)('if the last packet of a tick is %s', (fate) => {
    it('an answered success is billed exactly once', async () => {
      const { proxy, node } = await proxiedNode();
      try {
        const { secret, project } = await buildKey(app);
        const struck = proxy.strike(SETTLE, fate);
        const requestId = randomUUID();
        const call = callers.call({ url: node.url, secret, body: { requestId } });
        await struck;
        if (fate === 'late') {
          // The node gives up and retries. The budget's lock still blocks the retry.
          await until(() => node.logLines.some((line) => line.includes('commit without an answer')), 'the node to give up');
          proxy.deliver();
        }
        expect(await call).toMatchObject({ status: 200, body: { ok: true, billing: { chargedMicroCredits: 1_000 } } });
        expect(await accountOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1, succeeded: 1 });
        expect(await outcomesOf(app, requestId)).toEqual(['SUCCEEDED']);
        expect(await faultsOf(app)).toEqual([]);
      } finally {
        await node.close();
      }
    });

    it('a call with an unknown admission gets a 503, does not run, and leaves no hold', async () => {
      const { proxy, node } = await proxiedNode();
      try {
        const { upstream, project, call } = await buildSlowAction(app, callers);
        upstream.release();
        const struck = proxy.strike(ADMIT, fate);
        const requestId = randomUUID();
        const answer = call(node.url, { requestId });
        await struck;
        if (fate === 'late') {
          expect((await answer).status).toBe(503);
          proxy.deliver();
        }
        expect(await answer).toMatchObject({ status: 503, body: { error: { code: 'SERVICE_UNAVAILABLE' } } });
        const ended = fate === 'lost' ? [] : ['REFUSED SERVICE_UNAVAILABLE'];
        await until(async () => (await outcomesOf(app, requestId)).length === ended.length, 'its hold to be voided');
        expect(await outcomesOf(app, requestId)).toEqual(ended);
        expect(await accountOf(app, project.id)).toMatchObject({ balance: 1_000_000, held: 0, holds: 0, bills: 0 });
        expect(upstream.calls).toEqual([]);
        expect((await call(node.url, { requestId })).status).toBe(200); // a new attempt
        expect(await accountOf(app, project.id)).toMatchObject({ balance: 999_000, held: 0, holds: 0, bills: 1 });
        expect(await faultsOf(app)).toEqual([]);
      } finally {
        await node.close();
      }
    });
  });

  it('connections that break all the time cause only 503 answers', async () => {
    const { proxy, node } = await proxiedNode();
    try {
      const { secret, project } = await buildKey(app);
      const calling = { on: true };
      const breaking = (async () => {
        for (; calling.on; await wait(40)) proxy.cut();
      })();
      const answers = await callers.calls(300, () => ({ url: node.url, secret, body: { requestId: randomUUID() } }));
      calling.on = false;
      await breaking;
      const { 200: succeeded = 0, '503 SERVICE_UNAVAILABLE': refused = 0, ...others } = tally(answers);
      expect([succeeded + refused, others]).toEqual([300, {}]);
      await until(async () => (await accountOf(app, project.id)).holds === 0, 'the last holds to be voided');
      expect(await accountOf(app, project.id)).toMatchObject({ held: 0, bills: succeeded, succeeded });
      expect((await callers.call({ url: node.url, secret })).status).toBe(200);
      expect(await faultsOf(app)).toEqual([]);
    } finally {
      await node.close();
    }
  });

  it('leaves the books of all projects in order', async () => {
    await buildProject(app);
    expect(await faultsOf(app)).toEqual([]);
  });
});
