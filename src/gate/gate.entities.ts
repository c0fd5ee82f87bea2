import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, textColumn } from '../db/columns';

/** One call in flight. Whoever takes the row away decides what became of it: posted, voided or expired, once. */
@Entity('holds')
export class Hold {
  /** The attempt: the id of its log row to be. */
  @PrimaryColumn(idColumn)
  attempt: string;

  @Column(textColumn(16))
  credentialKind: string;

  @Column(idColumn)
  credentialId: string;

  @Column(idColumn)
  workspaceId: string;

  @Column(idColumn)
  projectId: string;

  @Column(textColumn(8))
  environment: string;

  @Column(textColumn(63))
  service: string;

  @Column(textColumn(128))
  action: string;

  @Column(textColumn(36))
  requestId: string;

  /** Whether the caller chose the requestId, so that a claim names this attempt. */
  @Column('boolean')
  claimed: boolean;

  /** The most that it can cost. */
  @Column(bigintColumn)
  amount: number;

  @Column({ ...textColumn(45), nullable: true })
  ip: string | null;

  @Column({ ...textColumn(255), nullable: true })
  userAgent: string | null;

  @Column(bigintColumn)
  startedAt: number;

  @Column(bigintColumn)
  expiresAt: number;

  /** Which start of which process admitted it. */
  @Column(textColumn(16))
  process: string;
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
