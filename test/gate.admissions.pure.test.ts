import { Admissions } from '../src/gate/admissions';
import type { Call } from '../src/gate/call';
import type { Verdict } from '../src/gate/decide';
import { processTime } from '../src/lib/time';

it('a call whose secret is new waits no longer than any other: past its time it is told 503, and the database is not asked', async () => {
  const asked: string[] = [];
  const store = {
    findCredentials: async (credentials: { digest: string }[]) => {
      asked.push(...credentials.map(({ digest }) => digest));
      return new Map();
    },
  };
  const ticker = { judge: (): Promise<Verdict> => Promise.reject(new Error('No call is known, so there is nothing to decide.')) };
  const admissions = new Admissions({ store, ticker, time: processTime, reserve: () => true, onFailure: () => undefined });
  const call = (digest: string, waitedMs: number) => ({ credentialKind: 'API_KEY', digest, namedProjectId: null, waitsSince: performance.now() - waitedMs }) as Call;
  const late = admissions.admit(call('late', 6_000));
  const soon = admissions.admit(call('soon', 0));
  await expect(late).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  expect(await soon).toMatchObject({ kind: 'refused', refusal: { code: 'INVALID_API_KEY' } });
  expect(asked).toEqual(['soon']);
});
