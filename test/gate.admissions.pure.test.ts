import { Admissions } from '../src/gate/admissions';
import type { Call } from '../src/gate/call';
import type { Verdict } from '../src/gate/items';
import { LookUps } from '../src/gate/look-ups';
import { processTime } from '../src/lib/time';

it('answers 503 to a call with an unknown secret after its deadline, without asking the database', async () => {
  const asked: string[] = [];
  const store = {
    findCredentials: async (credentials: { digest: string }[]) => {
      asked.push(...credentials.map(({ digest }) => digest));
      return new Map();
    },
  };
  const ticker = { judge: (): Promise<Verdict> => Promise.reject(new Error('No secret is known, so there is nothing to decide.')) };
  const lookUps = new LookUps({ store, time: processTime, onFailure: () => undefined });
  const admissions = new Admissions({ lookUps, ticker, reserve: () => true });
  const call = (digest: string, waitedMs: number) =>
    ({ credentialKind: 'API_KEY', digest, namedProjectId: null, waitsSince: performance.now() - waitedMs }) as Call;
  const late = admissions.admit(call('late', 6_000));
  const soon = admissions.admit(call('soon', 0));
  await expect(late).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
  expect(await soon).toMatchObject({ kind: 'refused', refusal: { code: 'INVALID_API_KEY' } });
  expect(asked).toEqual(['soon']);
});

it('looks up any number of secrets with one statement at a time, each for all calls that wait by then', async () => {
  let running = 0;
  const sizes: number[] = [];
  const store = {
    findCredentials: async (credentials: { digest: string }[]) => {
      running += 1;
      expect(running).toBe(1);
      sizes.push(credentials.length);
      await processTime.nextTurn();
      running -= 1;
      return new Map();
    },
  };
  const lookUps = new LookUps({ store, time: processTime, onFailure: () => undefined });
  const find = (digest: string) => lookUps.find({ credentialKind: 'API_KEY', digest, namedProjectId: null });
  await Promise.all(Array.from({ length: 1_200 }, (_, index) => find(`secret ${index}`)));
  expect(sizes).toEqual([500, 500, 200]);
});
