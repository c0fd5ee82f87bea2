import { In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { anyOf, within } from '../db/filters';
import { NEWEST_FIRST } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { AuditEvent } from './event.entity';

export interface EventFilter {
  action?: string[] | null;
  actorId?: string[] | null;
  subjectId?: string[] | null;
  from?: Date | null;
  to?: Date | null;
}

export type EventScope = { workspaceId: string } | { subjectId: string } | Record<string, never>;

/** The events of a workspace, of one subject, or all of them, newest first. Of all, a few subjects or actors are each looked up. */
export const EVENTS: List<AuditEvent, EventScope, EventFilter> = {
  entity: AuditEvent,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (scope, filter) => {
    const bounds = (query: SelectQueryBuilder<AuditEvent>) => within(query, 'row.createdAt', filter);
    const narrow = (query: SelectQueryBuilder<AuditEvent>) => narrowed(query, filter);
    // A person may be a subject in many workspaces: what is looked at of one of them must not be another's.
    const isOfAll = Object.keys(scope).length === 0;
    const ranges = isOfAll ? (lookedUp<AuditEvent>('subjectId', filter.subjectId) ?? lookedUp<AuditEvent>('actorId', filter.actorId)) : undefined;
    if (ranges) return { ranges, bounds, narrow };
    return { ranges: [scope], bounds, narrow: filter.action || filter.actorId || filter.subjectId ? narrow : undefined };
  },
};

/** Those of some events that a filter lets through; the alias is `row`. */
export function eventsOf(reader: EntityManager, ids: string[], filter: EventFilter): SelectQueryBuilder<AuditEvent> {
  const query = reader.createQueryBuilder(AuditEvent, 'row').where({ id: In(ids) });
  within(query, 'row.createdAt', filter);
  narrowed(query, filter);
  return query;
}

function narrowed(query: SelectQueryBuilder<AuditEvent>, filter: EventFilter): void {
  anyOf(query, 'action', filter.action);
  anyOf(query, 'actorId', filter.actorId);
  anyOf(query, 'subjectId', filter.subjectId);
}
