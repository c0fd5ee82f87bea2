import type { EntryRow, Evidence, Violation } from './evidence';

/** Checks that every balance is the sum of its entries, nothing is held, and credits come only from top-ups and refunds. */
export function* verifyBooks({ tables }: Evidence): Generator<Violation> {
  const entriesOf = new Map<string, EntryRow[]>();
  for (const entry of tables.entries) {
    const list = entriesOf.get(entry.accountId);
    if (list) list.push(entry);
    else entriesOf.set(entry.accountId, [entry]);
  }
  for (const { id, balance, held, entrySeq } of tables.accounts) {
    const entries = (entriesOf.get(id) ?? []).sort((a, b) => a.seq - b.seq);
    entriesOf.delete(id);
    const wrong = (detail: string): Violation => ({ check: 'a balance is the sum of its entries', detail: `${id}: ${detail}` });
    let sum = 0;
    for (const [index, entry] of entries.entries()) {
      sum += entry.delta;
      if (entry.seq !== index + 1) yield wrong(`entry ${entry.seq} stands in the place of entry ${index + 1}`);
      if (entry.balanceAfter !== sum) yield wrong(`entry ${entry.seq} says ${entry.balanceAfter}, but the sum is ${sum}`);
      if (sum < 0) yield { check: 'a budget is never overspent', detail: `${id}: entry ${entry.seq} leaves ${sum}` };
    }
    if (sum !== balance) yield wrong(`its balance is ${balance}, but its entries add up to ${sum}`);
    if (entrySeq !== entries.length) yield wrong(`it counts ${entrySeq} entries, but has ${entries.length}`);
    if (held !== 0) yield { check: 'nothing stays held at the end', detail: `${id} holds ${held}` };
  }
  for (const id of entriesOf.keys()) yield { check: 'a balance is the sum of its entries', detail: `${id} has entries, but no account` };
  for (const attempt of tables.openHolds) yield { check: 'nothing stays held at the end', detail: `the hold of ${attempt} is open` };

  const total = tables.accounts.reduce((sum, { balance }) => sum + balance, 0);
  const made = tables.entries.reduce((sum, { kind, delta }) => (kind === 'ALLOCATION' ? sum : sum + delta), 0);
  if (total !== made)
    yield {
      check: 'credits are neither made nor lost',
      detail: `all accounts have ${total}, but top-ups and refunds minus bills are ${made}`,
    };
}

/** Checks that an acknowledged move happened exactly once, and a move with a lost answer at most once. */
export function* verifyMoves({ tables, moves }: Evidence): Generator<Violation> {
  const found = new Map<string, EntryRow[]>();
  for (const entry of tables.entries) {
    const key =
      entry.kind === 'REFUND' ? `REFUND ${entry.requestLogId}` : entry.reference === null ? undefined : `${entry.kind} ${entry.reference}`;
    if (key !== undefined) found.set(key, [...(found.get(key) ?? []), entry]);
  }
  for (const { kind, reference, amount, acknowledged } of moves) {
    const entries = found.get(`${kind} ${reference}`) ?? [];
    found.delete(`${kind} ${reference}`);
    const halves = kind === 'ALLOCATION' ? 2 : 1;
    const isRight = entries.length === halves && entries.every(({ delta }) => Math.abs(delta) === Math.abs(amount));
    const isNothing = !acknowledged && entries.length === 0;
    if (!isRight && !isNothing) {
      const told = acknowledged ? 'acknowledged' : 'not acknowledged';
      const deltas = entries.map(({ delta }) => delta).join(', ');
      const detail = `${kind} ${reference} of ${amount}, ${told}, has ${entries.length} entries: ${deltas}`;
      yield { check: 'credits move as administrators were told', detail };
    }
  }
  for (const [key, entries] of found) {
    const [{ kind }] = entries as [EntryRow];
    if (kind !== 'USAGE') yield { check: 'credits move as administrators were told', detail: `no administrator asked for ${key}` };
  }
}
