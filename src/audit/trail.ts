import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import { EVENT_COLUMNS, type EventRow } from './chain';
import { AuditEvent } from './event.entity';
import { AuditSeal, UnsealedEvent } from './seal.entities';

// Events as their columns have them. Nothing is parsed, so that no change of a column can hide, or stop whoever reads.

export interface WaitingEvent extends EventRow {
  /** Its place in the queue. */
  queuePosition: number;
}

/** The oldest `limit` events that wait to be sealed, in the order in which they came. */
export function waitingEvents(reader: EntityManager, limit: number): Promise<WaitingEvent[]> {
  const query = eventColumns(reader).innerJoin(UnsealedEvent, 'waiting', 'waiting.eventId = event.id').addSelect('waiting.position', 'queuePosition');
  return rowsOf(query.orderBy('waiting.position').limit(limit));
}

/** Those of these events that are there. */
export function eventsById(reader: EntityManager, ids: string[]): Promise<EventRow[]> {
  return ids.length === 0 ? Promise.resolve([]) : rowsOf(eventColumns(reader).where('event.id IN (:...ids)', { ids }));
}

type Place = Pick<AuditSeal, 'position' | 'chainId' | 'sequence' | 'hash'>;

export interface SealedEvent extends EventRow, Place {
  missing?: undefined;
}

/** What is left of a sealed event that somebody took away. */
export interface MissingEvent extends Place {
  id: string;
  missing: true;
}

export type TrailEntry = SealedEvent | MissingEvent;

export interface TrailRequest {
  /** One chain; all of them where absent. */
  chainId?: string | undefined;
  /** The position that was read up to; 0 for the beginning. */
  after: number;
  limit: number;
}

/** What was sealed after a position, in the order in which it was, whether the event is there still or not. Whoever reads on from the last misses none and meets none twice. */
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
