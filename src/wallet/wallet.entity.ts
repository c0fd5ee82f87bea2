import { Field, ID, ObjectType } from 'type-graphql';
import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn } from '../db/columns';
import { Node } from '../lib/graphql-types';
import { MicroCredits } from '../lib/scalars';

@ObjectType({ implements: Node, description: 'Credits of a workspace that are not allocated to a project.' })
@Entity('wallets')
@Index('wallets_by_workspace', ['workspaceId'], { unique: true })
@Check('wallets_balance', 'balance >= 0')
export class Wallet implements Node {
  @Field(() => ID, { description: 'Begins with `wal_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Field(() => MicroCredits, { description: 'Credits topped up minus credits allocated. Never below zero.' })
  @Column(bigintColumn)
  balance: number;

  /** The `seq` of its newest entry. */
  @Column(bigintColumn)
  entrySeq: number;
}

@ObjectType({ description: 'Credits that a project may spend.' })
@Entity('budgets')
@Check('budgets_balance', 'held >= 0 AND balance >= held')
export class Budget {
  @PrimaryColumn(idColumn)
  projectId: string;

  @Field(() => MicroCredits, { description: 'Credits allocated minus credits spent.' })
  @Column(bigintColumn)
  balance: number;

  @Field(() => MicroCredits, { description: 'Credits reserved for calls in flight.' })
  @Column(bigintColumn)
  held: number;

  /** The `seq` of its newest entry. */
  @Column(bigintColumn)
  entrySeq: number;

  /** State of the rate limit: the theoretical arrival time of GCRA, in microseconds since 1970. */
  @Column(bigintColumn)
  theoreticalArrivalUs: number;

  /** State of the rate limit: the interval between calls that the arrival time was computed with, in microseconds. */
  @Column(bigintColumn)
  arrivalIntervalUs: number;

  @Field(() => MicroCredits, { description: 'Credits that the next call can use: balance - held. Never below zero.' })
  get available(): number {
    return this.balance - this.held;
  }
}
