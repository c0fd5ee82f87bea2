import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { Node } from '../lib/graphql-types';
import { JsonObject } from '../lib/scalars';

@ObjectType({ implements: Node, description: 'Who did what to what, written with the deed in one transaction. It is never changed, and never deleted.' })
@Entity('audit_events')
@Index('audit_events_by_workspace', ['workspaceId', 'createdAt', 'id'])
@Index('audit_events_by_subject', ['subjectId', 'createdAt', 'id'])
@Index('audit_events_by_actor', ['actorId', 'createdAt', 'id'])
@Index('audit_events_by_age', ['createdAt', 'id'])
export class AuditEvent implements Node {
  @Field(() => ID, { description: 'Begins with `evt_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field(() => ID, { nullable: true, description: 'The workspace that it concerns; null where it concerns the whole installation.' })
  @Column({ ...idColumn, nullable: true })
  workspaceId: string | null;

  @Field({ description: 'What acted: OPERATOR, API_KEY, SERVICE_ACCOUNT, OAUTH_CLIENT, USER, or SYSTEM for Tollgate itself.' })
  @Column(textColumn(16))
  actorKind: string;

  @Field(() => ID, { description: 'Who acted: the id of a key, a service account, a consent or a person; `operator`; or the part of Tollgate that did.' })
  @Column(idColumn)
  actorId: string;

  @Field({ description: 'Noun and deed, such as `key.revoked`.' })
  @Column(textColumn(64))
  action: string;

  @Field(() => ID, { description: 'What it was done to.' })
  @Column(idColumn)
  subjectId: string;

  @Field(() => String, { nullable: true, description: 'The address that it came from.' })
  @Column({ ...textColumn(45), nullable: true })
  ip: string | null;

  @Field(() => String, { nullable: true, description: 'What the client called itself, cut to 255 characters.' })
  @Column({ ...textColumn(255), nullable: true })
  userAgent: string | null;

  @Field(() => JsonObject, { nullable: true, description: 'The changed properties as they were; null where the subject is new.' })
  @Column('simple-json', { nullable: true })
  before: Record<string, unknown> | null;

  @Field(() => JsonObject, { nullable: true, description: 'The changed properties as they are now.' })
  @Column('simple-json', { nullable: true })
  after: Record<string, unknown> | null;

  @Field({ description: 'When it happened.' })
  @Column(instantColumn)
  createdAt: Date;
}
