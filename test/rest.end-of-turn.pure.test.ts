import { EndOfTurn } from '../src/rest/end-of-turn';

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('handles all requests of one turn of the event loop in order, after all were read; later requests come later', async () => {
  const endOfTurn = new EndOfTurn();
  const seen: string[] = [];
  for (const name of ['first', 'second', 'third']) {
    seen.push(`${name} read`);
    endOfTurn.run(() => {
      seen.push(`${name} goes on`);
      if (name === 'second') endOfTurn.run(() => seen.push('one that arrived meanwhile'));
    });
  }
  expect(seen).toEqual(['first read', 'second read', 'third read']);
  await nextTurn();
  expect(seen.slice(3)).toEqual(['first goes on', 'second goes on', 'third goes on']);
  await nextTurn();
  expect(seen.slice(6)).toEqual(['one that arrived meanwhile']);
});

test('passes the error to a callback that throws, and continues with the next ones', async () => {
  const endOfTurn = new EndOfTurn();
  const seen: string[] = [];
  endOfTurn.run((error) => {
    if (!error) throw new Error('broken');
    seen.push(error.message);
  });
  endOfTurn.run(() => seen.push('the next one'));
  await nextTurn();
  expect(seen).toEqual(['broken', 'the next one']);
});
