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
    TOPUP: { description: 'Credits bought, added to a wallet.' },
    BONUS: { description: 'Credits given, added to a wallet.' },
    ALLOCATION: { description: 'Credits moved between a wallet and a budget, as two linked entries.' },
    USAGE: { description: 'The price of a billed call, taken from a budget.' },
    REFUND: { description: 'The price of a billed call, returned to the budget.' },
    ADJUSTMENT: { description: 'A manual correction, positive or negative.' },
  },
});

@ObjectType({ implements: Node, description: 'One movement of credits. Never changed, never deleted.' })
@Entity('ledger_entries')
@Index('ledger_entries_by_age', ['accountId', 'createdAt', 'seq'])
@Index('ledger_entries_by_kind', ['accountId', 'kind', 'createdAt', 'seq'])
export class LedgerEntry implements Node {
  /** The id of the wallet, or of the project if the entry changed a budget. */
  @PrimaryColumn(idColumn)
  accountId: string;

  /** Counts 1, 2, 3 ... within its account, without gaps. */
  @PrimaryColumn(bigintColumn)
  seq: number;

  @Field(() => LedgerKind, { description: 'Why credits moved.' })
  @Column(textColumn(16))
  kind: LedgerKind;

  @Field(() => MicroCredits, { description: 'The change of the balance. Never zero: a free call has no entry.' })
  @Column(bigintColumn)
  delta: number;

  @Field(() => MicroCredits, { description: "The account's balance right after this entry." })
  @Column(bigintColumn)
  balanceAfter: number;

  @Column({ ...idColumn, nullable: true })
  linkedEntryId: string | null;

  @Column({ ...idColumn, nullable: true })
  requestLogId: string | null;

  @Field(() => String, { nullable: true, description: 'The reference that the caller gave, such as a payment id.' })
  @Column({ ...textColumn(200), nullable: true })
  reference: string | null;

  @Field(() => String, { nullable: true, description: 'The reason that a person gave, or null.' })
  @Column({ ...textColumn(500), nullable: true })
  reason: string | null;

  @Field({ description: 'Time when the entry was written.' })
  @Column(instantColumn)
  createdAt: Date;

  @Field(() => ID, { description: 'Begins with `led_`.' })
  get id(): string {
    return entryId(this.accountId, this.seq);
  }
}

/** The id of an entry, made of its account and its number. It needs no column and no index. */
export function entryId(accountId: string, seq: number): string {
  return `led_${accountId}_${seq}`;
}

/** The account and number that an entry's id is made of, or undefined if `id` is not an entry's id. */
export function entryPlace(id: string): { accountId: string; seq: number } | undefined {
  const match = /^led_((?:prj|wal)_[0-9A-Za-z]+)_([1-9][0-9]{0,15})$/.exec(id);
  return match ? { accountId: match[1] as string, seq: Number(match[2]) } : undefined;
}

/** Which entry a caller's reference created, so that a retry finds it. A separate table, because the table of entries is large. */
@Entity('ledger_references')
export class LedgerReference {
  @PrimaryColumn(idColumn)
  workspaceId: string;

  /** The mutation that received the reference. References of different mutations are independent. */
  @PrimaryColumn(textColumn(16))
  operation: string;

  @PrimaryColumn(textColumn(200))
  reference: string;

  @Column(idColumn)
  entryId: string;
}
