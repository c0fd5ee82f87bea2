import { Field, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn } from '../../db/columns';
import { VERSION } from '../../lib/version-descriptions';

@ObjectType({ description: 'A person in a workspace, with their role there.' })
@Entity('memberships')
@Index('memberships_by_age', ['workspaceId', 'createdAt', 'userId'])
export class Membership {
  @PrimaryColumn(idColumn)
  userId: string;

  @PrimaryColumn(idColumn)
  workspaceId: string;

  @Column(idColumn)
  roleId: string;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ name: 'joinedAt', description: 'Time when they became a member.' })
  @Column(instantColumn)
  createdAt: Date;
}
