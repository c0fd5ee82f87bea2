import { Field, ID, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn } from '../db/columns';
import { MAX_GRANTED_PERMISSIONS } from '../access/permissions';
import { MaxItems, Node } from '../lib/graphql-types';

@ObjectType({
  implements: Node,
  description: 'A person allows an application to act for them in a project. When the consent ends, all its tokens end.',
})
@Entity('consents')
@Index('consents_by_user', ['userId', 'createdAt', 'id'])
@Index('consents_by_client', ['clientId', 'createdAt', 'id'])
export class Consent implements Node {
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
  @Field(() => [String], { description: 'The scopes that the person agreed to: permissions, and scopes of OpenID Connect.' })
  @Column('simple-json')
  scopes: string[];

  @Field({ description: 'Time when it ends. Using a refresh token before then extends it.' })
  @Column(instantColumn)
  expiresAt: Date;

  @Field(() => Date, { nullable: true, description: 'Time when it was ended early, or null.' })
  @Column({ ...instantColumn, nullable: true })
  endedAt: Date | null;

  @Field({ description: 'Time when the person agreed.' })
  @Column(instantColumn)
  createdAt: Date;
}
