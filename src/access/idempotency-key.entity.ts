import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';

/** What became of a mutation that its caller may repeat. Each principal has keys of its own, so nobody ever meets a stranger's. */
@Entity('idempotency_keys')
@Index('idempotency_keys_by_expiry', ['expiresAt'])
export class IdempotencyKey {
  @PrimaryColumn(idColumn)
  principalId: string;

  @PrimaryColumn(textColumn(255))
  idempotencyKey: string;

  /** HMAC-SHA256 of the request, base64url: with the pepper, for a request may hold what is easily guessed. */
  @Column(textColumn(43))
  fingerprint: string;

  /** Who runs it: one request of one process. Whoever is not named here any more commits nothing. */
  @Column(textColumn(36))
  attempt: string;

  /** Until then the attempt is taken to be alive. */
  @Column(instantColumn)
  leasedUntil: Date;

  /** Until then it is kept. */
  @Column(instantColumn)
  expiresAt: Date;

  /** Set in the transaction of the change itself; null while nothing is done. */
  @Column({ ...instantColumn, nullable: true })
  doneAt: Date | null;

  /** What the change was done to. */
  @Column({ ...idColumn, nullable: true })
  subjectId: string | null;

  /** Where it was done; null where it is of the whole installation. */
  @Column({ ...idColumn, nullable: true })
  workspaceId: string | null;

  /** What the principal held there: whoever holds less by now is not shown the answer. */
  @Column('simple-json', { nullable: true })
  held: string[] | null;

  /** What was answered, without secrets; null while it runs, and where it is lost or was too large to keep. */
  @Column('mediumtext', { nullable: true })
  answer: string | null;
}
