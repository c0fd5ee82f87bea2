import { Column, Entity, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';

/** A code that works once instead of a code of the authenticator. */
@Entity('recovery_codes')
export class RecoveryCode {
  @PrimaryColumn(idColumn)
  userId: string;

  /** HMAC-SHA256 of the code with the pepper, base64url. */
  @PrimaryColumn(textColumn(43))
  digest: string;

  @Column({ ...instantColumn, nullable: true })
  usedAt: Date | null;
}
