import { AnswersTogether } from '../src/rest/answers-together';

// When answers are sent, beside what else a turn of the event loop does.

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('what is answered in the turn that it arrived in is sent when all that arrived in that turn has been read, in the order of the answers', async () => {
  const together = new AnswersTogether();
  const seen: string[] = [];
  const turns = ['first', 'second', 'third'].map((name) => {
    seen.push(`${name} read`);
    const turn = together.arrive();
    together.send(turn, () => seen.push(`${name} answered`));
    return turn;
  });
  expect(new Set(turns).size).toBe(1);
  expect(seen).toEqual(['first read', 'second read', 'third read']);
  await nextTurn();
  expect(seen.slice(3)).toEqual(['first answered', 'second answered', 'third answered']);
});

test('what is answered later than that is sent at once, also while other requests arrive', async () => {
  const together = new AnswersTogether();
  const seen: string[] = [];
  const turn = together.arrive();
  await nextTurn();
  together.send(turn, () => seen.push('alone'));
  const next = together.arrive();
  expect(next).not.toBe(turn);
  together.send(turn, () => seen.push('beside a newer request'));
  together.send(null, () => seen.push('seen by no hook'));
  expect(seen).toEqual(['alone', 'beside a newer request', 'seen by no hook']);
  await nextTurn();
  expect(seen).toHaveLength(3);
});
