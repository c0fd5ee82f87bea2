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

export interface SealedEvent extends EventRow, Pick<AuditSeal, 'position' | 'sequence' | 'hash'> {}

export interface TrailRequest {
  /** One chain; all of them where absent. */
  chainId?: string | undefined;
  /** The position that was read up to; 0 for the beginning. */
  after: number;
  limit: number;
}

/** The sealed events after a position, in the order in which they were sealed. Whoever reads on from the last misses none and meets none twice. */
export async function readTrail(reader: EntityManager, { chainId, after, limit }: TrailRequest): Promise<SealedEvent[]> {
  const query = eventColumns(reader)
    .innerJoin(AuditSeal, 'seal', 'seal.eventId = event.id')
    .addSelect('seal.position', 'position')
    .addSelect('seal.sequence', 'sequence')
    .addSelect('seal.hash', 'hash')
    .where('seal.position > :after', { after })
    .orderBy('seal.position')
    .limit(limit);
  if (chainId !== undefined) query.andWhere('seal.chainId = :chainId', { chainId });
  const rows = await rowsOf<SealedEvent>(query);
  return rows.map((row) => ({ ...row, position: Number(row.position), sequence: Number(row.sequence) }));
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
