import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';

/** An Idempotency-Key and the state of its mutation. Keys belong to one principal: two principals may use the same text. */
@Entity('idempotency_keys')
@Index('idempotency_keys_by_expiry', ['expiresAt'])
export class IdempotencyKey {
  @PrimaryColumn(idColumn)
  principalId: string;

  @PrimaryColumn(textColumn(255))
  idempotencyKey: string;

  /** HMAC-SHA256 of the request with the pepper, base64url. The pepper protects contents that are easy to guess. */
  @Column(textColumn(43))
  fingerprint: string;

  /** Id of the request that runs the mutation. After another request has replaced it, this request cannot commit. */
  @Column(textColumn(36))
  attempt: string;

  /** End of the lease. Until then, the attempt counts as running. */
  @Column(instantColumn)
  leasedUntil: Date;

  /** Time until which the row is kept. */
  @Column(instantColumn)
  expiresAt: Date;

  /** Time of the change, set in its transaction. If nothing changed, the time of the answer. Null before that. */
  @Column({ ...instantColumn, nullable: true })
  doneAt: Date | null;

  /** The id of the changed object. */
  @Column({ ...idColumn, nullable: true })
  subjectId: string | null;

  /** The workspace of the change, or null for a change of the whole installation. */
  @Column({ ...idColumn, nullable: true })
  workspaceId: string | null;

  /** The permissions that the principal had in that workspace. A principal that has fewer now does not get the answer. */
  @Column('simple-json', { nullable: true })
  held: string[] | null;

  /** The answer without secrets. Null while the mutation runs, and if the answer was lost or too large to keep. */
  @Column('mediumtext', { nullable: true })
  answer: string | null;
}
