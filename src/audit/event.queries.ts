import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import { anyOf } from '../db/filters';
import { NEWEST_FIRST, keysetPage, type PageRequest } from '../db/keyset';
import type { Connection } from '../lib/graphql-types';
import { AuditEvent } from './event.entity';

export interface EventFilter {
  action?: string[] | null;
  actorId?: string[] | null;
  subjectId?: string[] | null;
  from?: Date | null;
  to?: Date | null;
}

export type EventScope = { workspaceId: string } | { subjectId: string } | Record<string, never>;

/** The events of a workspace, of one subject, or all of them, that a filter lets through; the alias is `row`. */
export function eventsOf(reader: EntityManager, scope: EventScope, filter: EventFilter): SelectQueryBuilder<AuditEvent> {
  const query = reader.createQueryBuilder(AuditEvent, 'row').where(scope);
  if (filter.action) query.andWhere(anyOf('action', filter.action));
  if (filter.actorId) query.andWhere(anyOf('actorId', filter.actorId));
  if (filter.subjectId) query.andWhere(anyOf('subjectId', filter.subjectId));
  if (filter.from) query.andWhere('row.createdAt >= :from', { from: filter.from.getTime() });
  if (filter.to) query.andWhere('row.createdAt < :to', { to: filter.to.getTime() });
  return query;
}

/** A page of them, newest first. */
export async function listEvents(reader: EntityManager, scope: EventScope, filter: EventFilter, page: PageRequest): Promise<Connection<AuditEvent>> {
  return keysetPage(eventsOf(reader, scope, filter), NEWEST_FIRST, page);
}
