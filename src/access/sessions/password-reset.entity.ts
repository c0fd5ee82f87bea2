import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';

/** A link that lets a person set a new password once. */
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

  /** Time when it was used or the password was changed in another way. Null while it works. */
  @Column({ ...instantColumn, nullable: true })
  usedAt: Date | null;

  @Column(instantColumn)
  createdAt: Date;
}
