import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';

/** A link with which a person who forgot their password sets a new one, once. */
@Entity('password_resets')
@Index('password_resets_by_user', ['userId'])
export class PasswordReset {
  /** HMAC-SHA256 of the link's token with the pepper, base64url. */
  @PrimaryColumn(textColumn(43))
  digest: string;

  @Column(idColumn)
  userId: string;

  @Column(instantColumn)
  expiresAt: Date;

  /** When it was used, or the password was changed otherwise; null while it works. */
  @Column({ ...instantColumn, nullable: true })
  usedAt: Date | null;

  @Column(instantColumn)
  createdAt: Date;
}
