import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import { EVENT_COLUMNS, type EventRow } from './event-hash';
import { AuditEvent } from './event.entity';
import { AuditSeal, UnsealedEvent } from './seal.entities';

// Events with their raw column values. Nothing is parsed, so a changed column cannot stay hidden, and cannot stop a reader.

export interface WaitingEvent extends EventRow {
  /** Its position in the queue. */
  queuePosition: number;
}

/** The oldest `limit` events that wait for a seal, in the order in which they arrived. */
export function waitingEvents(reader: EntityManager, limit: number): Promise<WaitingEvent[]> {
  const query = eventColumns(reader)
    .innerJoin(UnsealedEvent, 'waiting', 'waiting.eventId = event.id')
    .addSelect('waiting.position', 'queuePosition');
  return rowsOf(query.orderBy('waiting.position').limit(limit));
}

/** The events with these ids. Missing ones are left out. */
export function eventsById(reader: EntityManager, ids: string[]): Promise<EventRow[]> {
  return ids.length === 0 ? Promise.resolve([]) : rowsOf(eventColumns(reader).where('event.id IN (:...ids)', { ids }));
}

type Place = Pick<AuditSeal, 'position' | 'chainId' | 'sequence' | 'hash'>;

export interface SealedEvent extends EventRow, Place {
  missing?: undefined;
}

/** The seal of an event that was deleted. */
export interface MissingEvent extends Place {
  id: string;
  missing: true;
}

export type TrailEntry = SealedEvent | MissingEvent;

export interface TrailRequest {
  /** One chain. Default: all chains. */
  chainId?: string | undefined;
  /** The last position that was read; 0 to read from the beginning. */
  after: number;
  limit: number;
}

/**
 * The events that were sealed after a position, in the order of their seals, including deleted ones. A reader that continues from the
 * last position misses no event and gets no event twice.
 */
export async function readTrail(reader: EntityManager, { chainId, after, limit }: TrailRequest): Promise<TrailEntry[]> {
  const query = reader.createQueryBuilder(AuditSeal, 'seal').select([]).leftJoin(AuditEvent, 'event', 'event.id = seal.eventId');
  for (const column of EVENT_COLUMNS) query.addSelect(`event.${column}`, column);
  query
    .addSelect('seal.eventId', 'eventId')
    .addSelect('seal.position', 'position')
    .addSelect('seal.chainId', 'chainId')
    .addSelect('seal.sequence', 'sequence')
    .addSelect('seal.hash', 'hash')
    .where('seal.position > :after', { after })
    .orderBy('seal.position')
    .limit(limit);
  if (chainId !== undefined) query.andWhere('seal.chainId = :chainId', { chainId });
  const rows = await query.getRawMany<Omit<EventRow, 'id'> & Place & { id: string | null; eventId: string }>();
  return rows.map(({ eventId, id, createdAt, ...row }) => {
    const [position, sequence] = [Number(row.position), Number(row.sequence)];
    if (id === null) return { position, chainId: row.chainId, sequence, hash: row.hash, id: eventId, missing: true };
    return { ...row, position, sequence, id, createdAt: Number(createdAt) };
  });
}

function eventColumns(reader: EntityManager): SelectQueryBuilder<AuditEvent> {
  const query = reader.createQueryBuilder(AuditEvent, 'event').select([]);
  for (const column of EVENT_COLUMNS) query.addSelect(`event.${column}`, column);
  return query;
}

async function rowsOf<T extends EventRow>(query: SelectQueryBuilder<AuditEvent>): Promise<T[]> {
  const rows = await query.getRawMany<T>();
  return rows.map((row) => ({ ...row, createdAt: Number(row.createdAt) }));
}
