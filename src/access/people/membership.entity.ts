import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn } from '../../db/columns';
import { Node } from '../../lib/graphql-types';
import { VERSION } from '../../lib/version-descriptions';

@ObjectType({ implements: Node, description: 'A person in a workspace, with their role there.' })
@Entity('memberships')
@Index('memberships_by_age', ['workspaceId', 'createdAt', 'userId'])
export class Membership implements Node {
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

  @Field(() => ID, { description: 'Begins with `mem_`. A person who leaves and joins the workspace again has the same id as before.' })
  get id(): string {
    return `mem_${this.userId.slice('usr_'.length)}_${this.workspaceId.slice('ws_'.length)}`;
  }
}
