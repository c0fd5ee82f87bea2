import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { Node } from '../lib/graphql-types';
import { JsonObject } from '../lib/scalars';

@ObjectType({
  implements: Node,
  description: 'A record of a change: actor, action and subject. Written in the transaction of the change; never changed or deleted.',
})
@Entity('audit_events')
@Index('audit_events_by_workspace', ['workspaceId', 'createdAt', 'id'])
@Index('audit_events_by_subject', ['subjectId', 'createdAt', 'id'])
@Index('audit_events_by_actor', ['actorId', 'createdAt', 'id'])
@Index('audit_events_by_age', ['createdAt', 'id'])
export class AuditEvent implements Node {
  @Field(() => ID, { description: 'Begins with `evt_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field(() => ID, { nullable: true, description: 'The workspace of the change, or null if it concerns the whole installation.' })
  @Column({ ...idColumn, nullable: true })
  workspaceId: string | null;

  @Field({ description: 'The kind of actor: OPERATOR, API_KEY, SERVICE_ACCOUNT, OAUTH_CLIENT, USER, or SYSTEM for Tollgate itself.' })
  @Column(textColumn(16))
  actorKind: string;

  @Field(() => ID, {
    description: 'The actor: the id of a key, a service account, a consent or a person; `operator`; or the name of a part of Tollgate.',
  })
  @Column(idColumn)
  actorId: string;

  @Field({ description: 'The kind of object and the action, such as `key.revoked`.' })
  @Column(textColumn(64))
  action: string;

  @Field(() => ID, { description: 'The id of the changed object.' })
  @Column(idColumn)
  subjectId: string;

  @Field(() => String, { nullable: true, description: 'The IP address of the request.' })
  @Column({ ...textColumn(45), nullable: true })
  ip: string | null;

  @Field(() => String, { nullable: true, description: 'The User-Agent header of the request: its first 255 characters.' })
  @Column({ ...textColumn(255), nullable: true })
  userAgent: string | null;

  @Field(() => JsonObject, { nullable: true, description: 'The changed properties before the change, or null if the subject is new.' })
  @Column('simple-json', { nullable: true })
  before: Record<string, unknown> | null;

  @Field(() => JsonObject, { nullable: true, description: 'The changed properties after the change.' })
  @Column('simple-json', { nullable: true })
  after: Record<string, unknown> | null;

  @Field({ description: 'Time of the change.' })
  @Column(instantColumn)
  createdAt: Date;
}
