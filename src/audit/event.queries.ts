import { Field, ID, InputType } from 'type-graphql';
import { In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { anyOf, every, within } from '../db/filters';
import { NEWEST_FIRST } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { AuditEvent } from './event.entity';

@InputType({ description: 'Events that meet all given conditions. A list matches any of its values; an empty list matches nothing.' })
export class AuditEventFilter {
  @Field(() => [String], { nullable: true, description: 'Events with these actions, such as `key.revoked`.' })
  action?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Events of these actors.' })
  actorId?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Events about these objects.' })
  subjectId?: string[] | null;

  @Field(() => Date, { nullable: true, description: 'Beginning of the time range, inclusive.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'End of the time range, exclusive.' })
  to?: Date | null;
}

export type EventScope = { workspaceId: string } | { subjectId: string } | Record<string, never>;

/**
 * The events of a workspace, of one subject, or all events, newest first. A filter of all events by a few subjects or actors reads ranges
 * of their indexes.
 */
export const EVENTS: List<AuditEvent, EventScope, AuditEventFilter> = {
  entity: AuditEvent,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (scope, filter) => {
    // A person may be a subject in many workspaces. A list of one workspace must not read events of another one.
    const isOfAll = Object.keys(scope).length === 0;
    const ranges = isOfAll
      ? (lookedUp<AuditEvent>('subjectId', filter.subjectId) ?? lookedUp<AuditEvent>('actorId', filter.actorId))
      : undefined;
    return { ranges: ranges ?? [scope], bounds: bounded(filter), narrow: narrowed(filter) };
  },
};

/** A query for the events with these ids that match a filter. Its alias is `row`. */
export function eventsOf(reader: EntityManager, ids: string[], filter: AuditEventFilter): SelectQueryBuilder<AuditEvent> {
  const query = reader.createQueryBuilder(AuditEvent, 'row').where({ id: In(ids) });
  every(bounded(filter), narrowed(filter))?.(query);
  return query;
}

const bounded = ({ from, to }: AuditEventFilter) => within<AuditEvent>('row.createdAt', from, to);
const narrowed = ({ action, actorId, subjectId }: AuditEventFilter) =>
  every<AuditEvent>(anyOf('action', action), anyOf('actorId', actorId), anyOf('subjectId', subjectId));
