import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, textColumn } from '../db/columns';

/**
 * The holds that one tick opened. The transaction that clears the mark of a hold closes it: posted, voided or expired. So each hold is
 * closed exactly once.
 */
@Entity('tick_holds')
export class TickHolds {
  @PrimaryColumn(idColumn)
  id: string;

  /** Random id of the process that admitted the calls, new at each start. */
  @Column(textColumn(16))
  process: string;

  /** Time when the first of the holds expires, in milliseconds since 1970. */
  @Column(bigintColumn)
  expiresAt: number;

  /** A mark for each place of the tick: 1 if its hold is open, otherwise 0. */
  @Column(textColumn(500))
  marks: string;

  /** HoldRow[] as JSON. It keeps closed holds too, until the last hold is closed and the row is deleted. */
  @Column('mediumtext')
  holds: string;
}

/**
 * A hold that lasts longer than a call of execute: of a call that still runs when its first hold would expire, or of a verification. The
 * transaction that deletes the row closes the hold.
 */
@Entity('single_holds')
@Index('single_holds_by_expiry', ['expiresAt'])
@Index('single_holds_by_project', ['projectId'])
export class SingleHold {
  /** The id of the attempt. */
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  projectId: string;

  /** Time when the hold expires, in milliseconds since 1970. */
  @Column(bigintColumn)
  expiresAt: number;

  /** HoldRow as JSON. Its `expiresAt` is the first one. */
  @Column('text')
  hold: string;
}

/** A requestId that a caller chose, with the state of its call. Kept while the call runs and as long as the answer is kept. */
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

  /** While RUNNING, the time when the hold expires. When DONE, the time until which the answer is kept. */
  @Column(bigintColumn)
  expiresAt: number;

  @Column(bigintColumn)
  chargedMicroCredits: number;

  /** The body of the answer. Null while the call runs, and if the body was too large to keep. */
  @Column('mediumtext', { nullable: true })
  answer: string | null;
}

/** Number of refusals of one credential in one minute that were counted instead of logged. */
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
