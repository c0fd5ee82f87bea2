import { Column, Entity, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';

/** Who did what to what, written with the deed in one transaction. */
@Entity('audit_events')
export class AuditEvent {
  @PrimaryColumn(idColumn)
  id: string;

  /** The tenant that it concerns; null where it concerns the whole installation. */
  @Column({ ...idColumn, nullable: true })
  workspaceId: string | null;

  @Column(textColumn(16))
  actorKind: string;

  @Column(idColumn)
  actorId: string;

  /** Noun and deed, such as `key.revoked`. */
  @Column(textColumn(64))
  action: string;

  @Column(idColumn)
  subjectId: string;

  @Column({ ...textColumn(45), nullable: true })
  ip: string | null;

  @Column({ ...textColumn(255), nullable: true })
  userAgent: string | null;

  /** The changed properties as they were; null where the subject is new. */
  @Column('simple-json', { nullable: true })
  before: Record<string, unknown> | null;

  /** The changed properties as they are now. */
  @Column('simple-json', { nullable: true })
  after: Record<string, unknown> | null;

  @Column(instantColumn)
  createdAt: Date;
}
