import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, instantColumn, textColumn } from '../db/columns';
import { Node } from '../lib/graphql-types';
import { MicroCredits } from '../lib/scalars';

export enum LedgerKind {
  TOPUP = 'TOPUP',
  BONUS = 'BONUS',
  ALLOCATION = 'ALLOCATION',
  USAGE = 'USAGE',
  REFUND = 'REFUND',
  ADJUSTMENT = 'ADJUSTMENT',
}
registerEnumType(LedgerKind, {
  name: 'LedgerKind',
  description: 'Why credits moved.',
  valuesConfig: {
    TOPUP: { description: 'Bought: into a wallet.' },
    BONUS: { description: 'Given: into a wallet.' },
    ALLOCATION: { description: 'Between a wallet and a budget: two linked entries.' },
    USAGE: { description: 'A billed call: out of a budget.' },
    REFUND: { description: "A billed call's price given back: into a budget." },
    ADJUSTMENT: { description: 'A correction by hand, either way.' },
  },
});

@ObjectType({ implements: Node, description: 'One movement of credits. Never changed, never deleted.' })
@Entity('ledger_entries')
@Index('ledger_entries_by_age', ['accountId', 'createdAt', 'seq'])
@Index('ledger_entries_by_kind', ['accountId', 'kind', 'createdAt', 'seq'])
export class LedgerEntry implements Node {
  /** The wallet or, for a budget, the project whose balance it moved. */
  @PrimaryColumn(idColumn)
  accountId: string;

  /** 1, 2, 3 ... in its account, without a gap. */
  @PrimaryColumn(bigintColumn)
  seq: number;

  @Field(() => LedgerKind, { description: 'Why credits moved.' })
  @Column(textColumn(16))
  kind: LedgerKind;

  @Field(() => MicroCredits, { description: 'Never zero: a call that cost nothing has no entry.' })
  @Column(bigintColumn)
  delta: number;

  @Field(() => MicroCredits, { description: "The account's balance right after this entry." })
  @Column(bigintColumn)
  balanceAfter: number;

  @Column({ ...idColumn, nullable: true })
  linkedEntryId: string | null;

  @Column({ ...idColumn, nullable: true })
  requestLogId: string | null;

  @Field(() => String, { nullable: true, description: "A caller's own reference, such as a payment's id." })
  @Column({ ...textColumn(200), nullable: true })
  reference: string | null;

  @Field(() => String, { nullable: true, description: 'Why it was done, where a person did it.' })
  @Column({ ...textColumn(500), nullable: true })
  reason: string | null;

  @Field({ description: 'When it was written.' })
  @Column(instantColumn)
  createdAt: Date;

  @Field(() => ID, { description: 'Begins with `led_`.' })
  get id(): string {
    return entryId(this.accountId, this.seq);
  }
}

/** An entry's id names its place in its account: no column and no index of its own. */
export function entryId(accountId: string, seq: number): string {
  return `led_${accountId}_${seq}`;
}

/** The place that an entry's id names, or undefined where it is no such id. */
export function entryPlace(id: string): { accountId: string; seq: number } | undefined {
  const match = /^led_((?:prj|wal)_[0-9A-Za-z]+)_([1-9][0-9]{0,15})$/.exec(id);
  return match ? { accountId: match[1] as string, seq: Number(match[2]) } : undefined;
}

/** Remembers which entry a caller's reference made, so that a repeat finds it. Kept apart from the entries, which are many. */
@Entity('ledger_references')
export class LedgerReference {
  @PrimaryColumn(idColumn)
  workspaceId: string;

  /** The mutation that was given it: each counts its own. */
  @PrimaryColumn(textColumn(16))
  operation: string;

  @PrimaryColumn(textColumn(200))
  reference: string;

  @Column(idColumn)
  entryId: string;
}
