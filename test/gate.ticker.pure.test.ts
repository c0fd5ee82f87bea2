import type { Call } from '../src/gate/call';
import type { TickStore } from '../src/gate/tick-store';
import { Ticker } from '../src/gate/ticker';
import { processTime } from '../src/lib/time';

it('a call whose secret is new waits no longer than any other: past its time it is told 503, and the database is not asked', async () => {
  const asked: string[] = [];
  const store: TickStore = {
    maxBytes: 1_000_000,
    findCredentials: async (credentials) => {
      asked.push(...credentials.map(({ digest }) => digest));
      return new Map();
    },
    transact: () => Promise.reject(new Error('No call is known, so there is nothing to decide.')),
    close: async () => undefined,
  };
  const decide = { process: 'p', httpStatusOf: () => 503, logsRefusal: () => true };
  const ticker = new Ticker({ store, time: processTime, decide, reserve: () => true, onFailure: () => undefined });
  const call = (digest: string, waitedMs: number) => ({ credentialKind: 'API_KEY', digest, namedProjectId: null, arrivedAt: performance.now() - waitedMs }) as Call;
  const late = ticker.admit(call('late', 6_000));
  const soon = ticker.admit(call('soon', 0));
  await expect(late).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  expect(await soon).toMatchObject({ kind: 'refused', refusal: { code: 'INVALID_API_KEY' } });
  expect(asked).toEqual(['soon']);
});
