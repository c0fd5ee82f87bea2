import { createPrivateKey, createPublicKey, hkdfSync, sign, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose';

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
  /** The same in all tokens. */
  private readonly header: string;

  private constructor(
    private readonly key: KeyObject,
    private readonly publicKey: JWK,
    /** The URL of this server for clients, which is the issuer. */
    private readonly issuer: () => string,
  ) {
    this.header = base64url(JSON.stringify({ alg: 'EdDSA', typ: 'JWT', kid: publicKey.kid }));
  }

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

  /**
   * Returns a token for one request to the upstream with this origin. Signs in this thread: another thread, which Web Cryptography needs,
   * costs more than the signature.
   */
  sign(aud: string, { credentialId, workspaceId, projectId, environment, requestId, action, subject }: Principal): string {
    const iat = Math.floor(Date.now() / 1000);
    const claims = {
      workspace: workspaceId,
      project: projectId,
      environment,
      request_id: requestId,
      action,
      subject,
      iss: this.issuer(),
      aud,
      sub: credentialId,
      iat,
      exp: iat + TOKEN_SECONDS,
    };
    const signed = `${this.header}.${base64url(JSON.stringify(claims))}`;
    return `${signed}.${sign(null, Buffer.from(signed), this.key).toString('base64url')}`;
  }
}

const base64url = (text: string): string => Buffer.from(text).toString('base64url');
