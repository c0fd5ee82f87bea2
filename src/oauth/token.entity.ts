import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';

/** A token, code or pending authorization of oidc-provider. It is found by the digest of its secret value. */
@Entity('oauth_tokens')
@Index('oauth_tokens_by_expiry', ['expiresAt'])
export class OAuthToken {
  /** HMAC-SHA256 of the secret value with the pepper, base64url. */
  @PrimaryColumn(textColumn(43))
  digest: string;

  /** Model name of oidc-provider, such as AccessToken. */
  @Column(textColumn(32))
  kind: string;

  /** Consent that it belongs to and ends with. Null for a pending authorization. */
  @Column({ ...idColumn, nullable: true })
  consentId: string | null;

  /** Its greatest set of scopes. The scopes of the consent limit it further. */
  @Column('simple-json')
  scopes: string[];

  /** All other data of oidc-provider as JSON, with a placeholder for the secret value. */
  @Column('text')
  payload: string;

  @Column(instantColumn)
  expiresAt: Date;

  /** Time when it was used up or revoked, or null. */
  @Column({ ...instantColumn, nullable: true })
  endedAt: Date | null;

  @Column(instantColumn)
  createdAt: Date;
}
