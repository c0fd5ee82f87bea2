import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn } from '../../db/columns';

/** A person in a workspace, with the role that they have there. */
@Entity('memberships')
@Index('memberships_by_age', ['workspaceId', 'createdAt', 'userId'])
export class Membership {
  @PrimaryColumn(idColumn)
  userId: string;

  @PrimaryColumn(idColumn)
  workspaceId: string;

  @Column(idColumn)
  roleId: string;

  @Column(instantColumn)
  createdAt: Date;
}
