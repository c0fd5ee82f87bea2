import type { EntityManager, EntityTarget, FindOptionsWhere, ObjectLiteral } from 'typeorm';
import type { QueryDeepPartialEntity } from 'typeorm/query-builder/QueryPartialEntity';
import { nextVersion } from '../db/versions';
import { recordEvent, type EventDraft } from './record-event';

/**
 * Writes the properties of `changes` that differ to a row, increases its version, and records an event. Does nothing if no property
 * differs. This transaction must have locked the row. `where` names the row and its expected state. `event.after` adds properties to the
 * event. Returns the row after the change.
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

/** The properties of `changes` that differ, with their values before and after. */
export function difference<T extends object>(before: T, changes: Partial<T>): { before: Partial<T>; after: Partial<T> } {
  const changed = (Object.keys(changes) as (keyof T)[]).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(changes[name]));
  const pick = (from: Partial<T>) => Object.fromEntries(changed.map((name) => [name, from[name]])) as Partial<T>;
  return { before: pick(before), after: pick(changes) };
}
