import { Field, ID, InputType } from 'type-graphql';
import { In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { anyOf, every, within } from '../db/filters';
import { NEWEST_FIRST } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { AuditEvent } from './event.entity';

@InputType({ description: 'All that are given must hold; a list means any of these, an empty one none.' })
export class AuditEventFilter {
  @Field(() => [String], { nullable: true, description: 'Deeds such as `key.revoked`.' })
  action?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Who acted.' })
  actorId?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'What it was done to.' })
  subjectId?: string[] | null;

  @Field(() => Date, { nullable: true, description: 'At this time or after it.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Before this time.' })
  to?: Date | null;
}

export type EventScope = { workspaceId: string } | { subjectId: string } | Record<string, never>;

/** The events of a workspace, of one subject, or all of them, newest first. Of all, a few subjects or actors are each looked up. */
export const EVENTS: List<AuditEvent, EventScope, AuditEventFilter> = {
  entity: AuditEvent,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (scope, filter) => {
    // A person may be a subject in many workspaces: what is looked at of one of them must not be another's.
    const isOfAll = Object.keys(scope).length === 0;
    const ranges = isOfAll ? (lookedUp<AuditEvent>('subjectId', filter.subjectId) ?? lookedUp<AuditEvent>('actorId', filter.actorId)) : undefined;
    return { ranges: ranges ?? [scope], bounds: bounded(filter), narrow: narrowed(filter) };
  },
};

/** Those of some events that a filter lets through; the alias is `row`. */
export function eventsOf(reader: EntityManager, ids: string[], filter: AuditEventFilter): SelectQueryBuilder<AuditEvent> {
  const query = reader.createQueryBuilder(AuditEvent, 'row').where({ id: In(ids) });
  every(bounded(filter), narrowed(filter))?.(query);
  return query;
}

const bounded = ({ from, to }: AuditEventFilter) => within<AuditEvent>('row.createdAt', from, to);
const narrowed = ({ action, actorId, subjectId }: AuditEventFilter) => every<AuditEvent>(anyOf('action', action), anyOf('actorId', actorId), anyOf('subjectId', subjectId));
