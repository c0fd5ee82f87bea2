import './node-20';
import Provider, { errors, type AdapterPayload, type KoaContextWithOIDC } from 'oidc-provider';
import type { Whence } from '../access/people/person.events';
import { narrowedTo } from '../access/permissions';
import { recordEvent, type Origin } from '../audit/record-event';
import { forUpdate, type Database } from '../db/database';
import { MemoryThrottles } from '../lib/memory-throttles';
import { endToken, insertToken, livingToken, secretEndsAt } from '../service-accounts/secrets';
import { ServiceAccount } from '../service-accounts/service-account.entity';
import { permissionsOfServiceAccount } from '../service-accounts/service-account.queries';
import { ACCESS_TOKEN_SECONDS } from './lifetimes';
import { scopesIn } from './scopes';

// The client credentials grant: a service account is an OAuth client with its id and its secret, and gets access tokens. A token is stored
// as another secret of the account. It lives at most one hour and has only the requested permissions. Ending the secrets of an account ends
// its tokens too, at once and on every node.

export interface AccountTokensDeps {
  database: Database;
  digest(text: string): string;
  knownPermissions(): Promise<string[]>;
}

/** The secret that an account authenticated with, and the seconds until that secret ends. */
interface Proof {
  digest: string;
  seconds: number;
}

/**
 * Rate limit for tokens of one account in one process: a burst, then one more in each interval. Few are needed, because a token lives an
 * hour.
 */
const ACCOUNT_TOKENS = 100;
const ACCOUNT_TOKEN_EVERY_MS = 1_000;

/** The context of oidc-provider for one request. */
export type OidcContext = KoaContextWithOIDC['oidc'];

const KIND = 'ClientCredentials';
const TOO_MANY_TOKENS = 'too many token requests; use a token until it expires, or try again later';

export class AccountTokens {
  private readonly allowances = new MemoryThrottles({ burst: ACCOUNT_TOKENS, intervalMs: ACCOUNT_TOKEN_EVERY_MS });
  /** Keyed by request and not by client, because all requests of an account share one client object, even if they use different secrets. */
  private readonly proofs = new WeakMap<OidcContext, Proof>();

  constructor(private readonly deps: AccountTokensDeps) {}

  /** Whether a `client_id` names a service account. */
  isAccount(clientId: string): boolean {
    return clientId.startsWith('svc_');
  }

  /** Returns the account of a `client_id`, or null if it does not exist or is disabled. */
  account(id: string): Promise<ServiceAccount | null> {
    return this.deps.database.lookups.findOneBy(ServiceAccount, { id, enabled: true });
  }

  /** Returns an account as a client of oidc-provider. The `client_secret` is only a placeholder: `recognise` checks the secrets. */
  async findClient(id: string): Promise<AdapterPayload | undefined> {
    const account = await this.account(id);
    if (!account) return undefined;
    const granted = await permissionsOfServiceAccount(this.deps.database.lookups, id);
    const scopes = narrowedTo(await this.deps.knownPermissions(), granted);
    return {
      client_id: id,
      client_name: account.name,
      client_secret: account.hint,
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_basic',
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    };
  }

  /** Whether a secret of an account works now. Remembers the secret for the rest of this request. */
  async recognise(accountId: string, secret: string): Promise<boolean> {
    const { database } = this.deps;
    const digest = this.deps.digest(secret);
    const now = (await database.now()).getTime();
    const endsAt = await secretEndsAt(database.lookups, accountId, digest, now);
    const { oidc } = Provider.ctx ?? {};
    if (endsAt === null || !oidc) return false;
    this.proofs.set(oidc, { digest, seconds: Math.ceil((endsAt - now) / 1000) });
    return true;
  }

  /** Returns the lifetime of a requested token: one hour, or less if the secret of the request ends before. */
  secondsOf({ oidc }: Pick<KoaContextWithOIDC, 'oidc'>): number {
    return Math.min(ACCESS_TOKEN_SECONDS, this.proofs.get(oidc)?.seconds ?? 0);
  }

  /**
   * Stores a new token. Locks the account, because otherwise a rotation that ends all secrets could miss the token. Throws
   * `temporarily_unavailable` if the account asks too often, `invalid_client` if its secret has ended, and `invalid_scope` if it has no
   * requested permission.
   */
  async keep(token: string, { clientId, scope }: AdapterPayload, seconds: number, whence: Whence): Promise<void> {
    const { database } = this.deps;
    const { oidc } = Provider.ctx ?? {};
    const proof = oidc && this.proofs.get(oidc);
    const accountId = clientId as string;
    if (this.allowances.take(accountId, 1) > 0) throw new errors.TemporarilyUnavailable(TOO_MANY_TOKENS);
    await database.transaction(async (tx) => {
      const account = await tx.findOne(ServiceAccount, { where: { id: accountId, enabled: true }, ...forUpdate(tx) });
      const at = await database.now(tx);
      const endsAt = account && proof ? await secretEndsAt(tx, accountId, proof.digest, at.getTime()) : null;
      if (!account || endsAt === null) throw new errors.InvalidClient('the secret has ended');
      const granted = await permissionsOfServiceAccount(tx, accountId);
      const scopes = [...narrowedTo(scopesIn(scope), granted)];
      if (scopes.length === 0) throw new errors.InvalidScope('the service account has none of these permissions', scope as string);
      const tokenEndsAt = Math.min(endsAt, at.getTime() + seconds * 1000);
      await insertToken(tx, accountId, { digest: this.deps.digest(token), scopes, endsAt: tokenEndsAt }, at);
      const after = { scopes, expiresAt: new Date(tokenEndsAt) };
      await recordEvent(tx, { ...byAccount(accountId, whence), action: 'token.issued', subject: account, after, at });
    });
  }

  /** Returns a valid token, in the form of oidc-provider. Converts its times to the clock of this process, which oidc-provider uses. */
  async find(token: string): Promise<AdapterPayload | undefined> {
    const { database } = this.deps;
    const nowMs = (await database.now()).getTime();
    const kept = await livingToken(database.lookups, this.deps.digest(token), nowMs);
    if (!kept || !(await this.account(kept.accountId))) return undefined;
    const { accountId, scopes, createdAt, endsAt } = kept;
    const scope = narrowedTo(scopes, await permissionsOfServiceAccount(database.lookups, accountId)).join(' ');
    const secondsOf = (ms: number) => Math.floor((ms + Date.now() - nowMs) / 1000);
    return { kind: KIND, jti: token, clientId: accountId, scope, iat: secondsOf(createdAt.getTime()), exp: secondsOf(endsAt) };
  }

  /** Ends a token and records an event. Does nothing if it has already ended. */
  async end(token: string, whence: Whence): Promise<void> {
    const { database } = this.deps;
    await database.transaction(async (tx) => {
      const at = await database.now(tx);
      const accountId = await endToken(tx, this.deps.digest(token), at);
      if (accountId === null) return;
      const subject = await tx.findOneByOrFail(ServiceAccount, { id: accountId });
      const change = { before: { endedAt: null }, after: { endedAt: at } };
      await recordEvent(tx, { ...byAccount(accountId, whence), action: 'token.revoked', subject, ...change, at });
    });
  }
}

const byAccount = (id: string, whence: Whence): Origin => ({ actor: { kind: 'SERVICE_ACCOUNT', id }, ...whence });
