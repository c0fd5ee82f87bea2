import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, textColumn } from '../db/columns';

/** The calls in flight that one tick admitted. Whoever takes a call's mark away decides what became of it: posted, voided or expired, once. */
@Entity('tick_holds')
export class TickHolds {
  @PrimaryColumn(idColumn)
  id: string;

  /** Which start of which process admitted them. */
  @Column(textColumn(16))
  process: string;

  /** When the first of them expires. */
  @Column(bigintColumn)
  expiresAt: number;

  /** A mark for each place of the tick: 1 where its hold is open. */
  @Column(textColumn(500))
  marks: string;

  /** HoldRow[], as JSON; those that have ended stay in it until the last one has. */
  @Column('mediumtext')
  holds: string;
}

/** What became of a requestId that a caller chose, for as long as its answer is kept. */
@Entity('claims')
@Index('claims_by_expiry', ['expiresAt'])
export class Claim {
  @PrimaryColumn(idColumn)
  credentialId: string;

  @PrimaryColumn(textColumn(36))
  requestId: string;

  @Column(idColumn)
  attempt: string;

  /** SHA-256 of service and raw body, base64url. */
  @Column(textColumn(43))
  fingerprint: string;

  @Column(textColumn(8))
  state: string;

  /** RUNNING: its hold's expiry. DONE: until when its answer is kept. */
  @Column(bigintColumn)
  expiresAt: number;

  @Column(bigintColumn)
  chargedMicroCredits: number;

  /** The body that was answered; null while it runs, and where it was too large to keep. */
  @Column('mediumtext', { nullable: true })
  answer: string | null;
}

/** Refusals of one credential in one minute that were counted instead of logged. */
@Entity('refusal_counts')
export class RefusalCount {
  @PrimaryColumn(idColumn)
  credentialId: string;

  @PrimaryColumn(textColumn(64))
  code: string;

  /** Minutes since 1970. */
  @PrimaryColumn('int')
  minute: number;

  @Column(bigintColumn)
  calls: number;
}
