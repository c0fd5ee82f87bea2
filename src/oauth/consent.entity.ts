import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn } from '../db/columns';
import { MAX_GRANTED_PERMISSIONS } from '../access/permissions';
import { MaxItems } from '../lib/graphql-types';

@ObjectType({ description: 'That a person has let an application act for them in a project. All tokens that came of it end with it.' })
@Entity('consents')
@Index('consents_by_user', ['userId', 'createdAt', 'id'])
@Index('consents_by_client', ['clientId', 'createdAt', 'id'])
export class Consent {
  @Field(() => ID, { description: 'Begins with `con_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Column(idColumn)
  projectId: string;

  @Field(() => ID, { description: 'The `client_id` of the application.' })
  @Column(idColumn)
  clientId: string;

  @Column(idColumn)
  userId: string;

  @MaxItems(MAX_GRANTED_PERMISSIONS)
  @Field(() => [String], { description: 'What they agreed to: permissions, and what of OpenID Connect.' })
  @Column('simple-json')
  scopes: string[];

  @Field({ description: 'When it ends, unless the application uses it before.' })
  @Column(instantColumn)
  expiresAt: Date;

  @Field(() => Date, { nullable: true, description: 'When it was ended; null while it was not.' })
  @Column({ ...instantColumn, nullable: true })
  endedAt: Date | null;

  @Field({ description: 'When they agreed.' })
  @Column(instantColumn)
  createdAt: Date;
}
