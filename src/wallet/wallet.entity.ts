import { Field, ID, ObjectType } from 'type-graphql';
import { Check, Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn } from '../db/columns';
import { Node } from '../lib/graphql-types';
import { MicroCredits } from '../lib/scalars';

@ObjectType({ implements: Node, description: "The workspace's credits, not yet given to a project." })
@Entity('wallets')
@Index('wallets_by_workspace', ['workspaceId'], { unique: true })
@Check('wallets_balance', 'balance >= 0')
export class Wallet implements Node {
  @Field(() => ID, { description: 'Begins with `wal_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Field(() => MicroCredits, { description: 'Topped up less allocated. Never below zero.' })
  @Column(bigintColumn)
  balance: number;

  /** The `seq` of its newest entry. */
  @Column(bigintColumn)
  entrySeq: number;
}

@ObjectType({ description: 'What a project may spend.' })
@Entity('budgets')
@Check('budgets_balance', 'held >= 0 AND balance >= held')
export class Budget {
  @PrimaryColumn(idColumn)
  projectId: string;

  @Field(() => MicroCredits, { description: 'Allocated less spent.' })
  @Column(bigintColumn)
  balance: number;

  @Field(() => MicroCredits, { description: 'Promised to calls in flight.' })
  @Column(bigintColumn)
  held: number;

  /** The `seq` of its newest entry. */
  @Column(bigintColumn)
  entrySeq: number;

  /** The rate limit's memory: GCRA's theoretical arrival time, microseconds since 1970, and the interval it was counted in. */
  @Column(bigintColumn)
  theoreticalArrivalUs: number;

  @Column(bigintColumn)
  arrivalIntervalUs: number;

  @Field(() => MicroCredits, { description: 'balance - held: what the next call can draw on. Never below zero.' })
  get available(): number {
    return this.balance - this.held;
  }
}
