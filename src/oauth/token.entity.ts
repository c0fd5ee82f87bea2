import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';

/** A token, a code, or an authorization under way: what oidc-provider keeps, found by the digest of what its bearer has. */
@Entity('oauth_tokens')
@Index('oauth_tokens_by_expiry', ['expiresAt'])
export class OAuthToken {
  /** HMAC-SHA256 of what its bearer has with the pepper, base64url. */
  @PrimaryColumn(textColumn(43))
  digest: string;

  /** oidc-provider's name of it, such as AccessToken. */
  @Column(textColumn(32))
  kind: string;

  /** What it came of, and ends with; null before there is one. */
  @Column({ ...idColumn, nullable: true })
  consentId: string | null;

  /** What it may be used for at most. */
  @Column('simple-json')
  scopes: string[];

  /** Everything else that oidc-provider wants to know of it again, as JSON, without what its bearer has. */
  @Column('text')
  payload: string;

  @Column(instantColumn)
  expiresAt: Date;

  /** When it was used up or revoked; null while it was not. */
  @Column({ ...instantColumn, nullable: true })
  endedAt: Date | null;

  @Column(instantColumn)
  createdAt: Date;
}
