import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto';
import { SignJWT, calculateJwkThumbprint, exportJWK, type JWK } from 'jose';

/** Time for which a token is valid. It covers clocks that differ a little, and the way to the upstream. */
const TOKEN_SECONDS = 60;

/** Who makes a call, and which call it is, as an upstream sees it. */
export interface Principal {
  credentialId: string;
  workspaceId: string;
  projectId: string;
  environment: string;
  requestId: string;
  /** The action's name. */
  action: string;
  /** The seller's own name for the user behind the call. Empty if there is none. */
  subject: string;
}

/** The start of a private Ed25519 key in PKCS #8 (RFC 8410). The 32 bytes of the key follow. */
const PKCS8_START = Buffer.from('302e020100300506032b657004220420', 'hex');

/**
 * Signs JWTs by which an upstream knows that a request came through this installation, and who made it. The key is derived from the
 * pepper, so that all nodes have the same key, and no key is stored.
 */
export class PrincipalTokens {
  private constructor(
    private readonly key: KeyObject,
    private readonly publicKey: JWK,
    /** The URL of this server for clients, which is the issuer. */
    private readonly issuer: () => string,
  ) {}

  static async open(pepper: string, issuer: () => string): Promise<PrincipalTokens> {
    const seed = Buffer.from(hkdfSync('sha256', pepper, '', 'tollgate principal token', 32));
    const key = createPrivateKey({ key: Buffer.concat([PKCS8_START, seed]), format: 'der', type: 'pkcs8' });
    const publicKey = await exportJWK(createPublicKey(key));
    const kid = await calculateJwkThumbprint(publicKey);
    return new PrincipalTokens(key, { ...publicKey, kid, alg: 'EdDSA', use: 'sig' }, issuer);
  }

  /** The public keys, as RFC 7517 has them. */
  get keySet(): { keys: JWK[] } {
    return { keys: [this.publicKey] };
  }

  /** Returns a token for one request to the upstream with this origin. */
  sign(audience: string, { credentialId, workspaceId, projectId, environment, requestId, action, subject }: Principal): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const claims = { workspace: workspaceId, project: projectId, environment, request_id: requestId, action, subject };
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'EdDSA', typ: 'JWT', kid: this.publicKey.kid as string })
      .setIssuer(this.issuer())
      .setAudience(audience)
      .setSubject(credentialId)
      .setIssuedAt(now)
      .setExpirationTime(now + TOKEN_SECONDS)
      .sign(this.key);
  }
}
