import { Turn } from '../src/rest/turn';

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('what arrives in one turn of the event loop goes on when all of it has been read, in order; what arrives later goes on later', async () => {
  const turn = new Turn();
  const seen: string[] = [];
  for (const name of ['first', 'second', 'third']) {
    seen.push(`${name} read`);
    turn.end(() => {
      seen.push(`${name} goes on`);
      if (name === 'second') turn.end(() => seen.push('one that arrived meanwhile'));
    });
  }
  expect(seen).toEqual(['first read', 'second read', 'third read']);
  await nextTurn();
  expect(seen.slice(3)).toEqual(['first goes on', 'second goes on', 'third goes on']);
  await nextTurn();
  expect(seen.slice(6)).toEqual(['one that arrived meanwhile']);
});
