import { Field, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn } from '../../db/columns';

@ObjectType({ description: 'A person in a workspace, with the role that they have there.' })
@Entity('memberships')
@Index('memberships_by_age', ['workspaceId', 'createdAt', 'userId'])
export class Membership {
  @PrimaryColumn(idColumn)
  userId: string;

  @PrimaryColumn(idColumn)
  workspaceId: string;

  @Column(idColumn)
  roleId: string;

  @Field({ name: 'joinedAt', description: 'When they became a member.' })
  @Column(instantColumn)
  createdAt: Date;
}
