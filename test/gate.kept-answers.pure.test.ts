import type { EntityManager } from 'typeorm';
import { KeptAnswers } from '../src/gate/kept-answers';

interface Where {
  requestId: string;
  attempt: string;
}

test('reads concurrent repeats four per statement, gives each its answer, and null if the answer no longer exists', async () => {
  const asked: number[] = [];
  const lookups = {
    findBy: async (_entity: unknown, wheres: Where[]) => {
      asked.push(wheres.length);
      const kept = new Map(wheres.filter(({ requestId }) => requestId !== 'gone').map(({ attempt }) => [attempt, `answer of ${attempt}`]));
      return [...kept].map(([attempt, answer]) => ({ attempt, answer }));
    },
  } as unknown as Pick<EntityManager, 'findBy'>;
  const answers = new KeptAnswers(lookups, { warn: () => undefined });
  const claim = (requestId: string, attempt: string) => ({ credentialId: 'key', requestId, attempt });
  const read = await Promise.all(
    [claim('a', '1'), claim('gone', '2'), claim('a', '1'), claim('b', '3'), claim('c', '4')].map((wanted) => answers.of(wanted)),
  );
  expect(read).toEqual(['answer of 1', null, 'answer of 1', 'answer of 3', 'answer of 4']);
  expect(asked).toEqual([4, 1]);
});
