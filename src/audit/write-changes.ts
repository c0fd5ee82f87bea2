import type { EntityManager, EntityTarget, FindOptionsWhere, ObjectLiteral } from 'typeorm';
import type { QueryDeepPartialEntity } from 'typeorm/query-builder/QueryPartialEntity';
import { nextVersion } from '../db/versions';
import { recordEvent, type EventDraft } from './record-event';

/**
 * Changes a row that this transaction has locked to what of `changes` differs, as its next version, and tells of that; where nothing
 * differs, it does neither. `where` names the row and its state, `event.after` what is told besides. Answers the row as it is now.
 */
export async function writeChanges<E extends ObjectLiteral & { version: number }>(
  tx: EntityManager,
  entity: EntityTarget<E>,
  where: FindOptionsWhere<E>,
  row: E,
  changes: Partial<E>,
  event: Omit<EventDraft, 'before'>,
): Promise<E> {
  const { before, after } = difference(row, changes);
  if (Object.keys(after).length === 0) return row;
  await tx.update(entity, where, { ...after, ...nextVersion } as QueryDeepPartialEntity<E>);
  await recordEvent(tx, { ...event, before, after: { ...after, ...event.after } });
  return Object.assign(row, after, { version: row.version + 1 });
}

/** The properties named in `changes` as they were and as they become, where they differ. */
export function difference<T extends object>(before: T, changes: Partial<T>): { before: Partial<T>; after: Partial<T> } {
  const changed = (Object.keys(changes) as (keyof T)[]).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(changes[name]));
  const pick = (from: Partial<T>) => Object.fromEntries(changed.map((name) => [name, from[name]])) as Partial<T>;
  return { before: pick(before), after: pick(changes) };
}
