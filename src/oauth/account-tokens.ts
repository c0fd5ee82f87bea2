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

// Client credentials: a service account is a client of its own, by its id and its secret, and gets access tokens. Each is one more secret of
// the account, which ends within the hour and may do no more than was asked for: what ends secrets ends it too, at once and on every node.

export interface AccountTokensDeps {
  database: Database;
  digest(text: string): string;
  knownPermissions(): Promise<string[]>;
}

/** The secret that an account has come with, and for how many seconds it still works. */
interface Proof {
  digest: string;
  seconds: number;
}

/** Tokens that an account gets from a process at once, and how often one more after that: each is good for an hour. */
const ACCOUNT_TOKENS = 100;
const ACCOUNT_TOKEN_EVERY_MS = 1_000;

/** What oidc-provider knows of a request. */
export type OidcContext = KoaContextWithOIDC['oidc'];

const KIND = 'ClientCredentials';

export class AccountTokens {
  private readonly allowances = new MemoryThrottles({ burst: ACCOUNT_TOKENS, intervalMs: ACCOUNT_TOKEN_EVERY_MS });
  /** By request: clients are shared by all requests of an account, whichever of its secrets they came with. */
  private readonly proofs = new WeakMap<OidcContext, Proof>();

  constructor(private readonly deps: AccountTokensDeps) {}

  /** Whether a `client_id` is that of a service account. */
  isAccount(clientId: string): boolean {
    return clientId.startsWith('svc_');
  }

  /** The account of a `client_id`; null where there is none, or none that works. */
  account(id: string): Promise<ServiceAccount | null> {
    return this.deps.database.lookups.findOneBy(ServiceAccount, { id, enabled: true });
  }

  /** An account as oidc-provider knows clients. It keeps no secret of it: `recognise` reads them. */
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

  /** Whether a secret is one of an account's that works now. Remembers which one this request has come with. */
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

  /** How long a token that a request asks for lives: an hour, or as long as the secret that it came with. */
  secondsOf({ oidc }: Pick<KoaContextWithOIDC, 'oidc'>): number {
    return Math.min(ACCESS_TOKEN_SECONDS, this.proofs.get(oidc)?.seconds ?? 0);
  }

  /** Keeps a token of whichever account has asked for it in this request. Under the account's lock, or a rotation that ends all secrets could miss it. */
  async keep(token: string, { clientId, scope }: AdapterPayload, seconds: number, whence: Whence): Promise<void> {
    const { database } = this.deps;
    const { oidc } = Provider.ctx ?? {};
    const proof = oidc && this.proofs.get(oidc);
    const accountId = clientId as string;
    if (this.allowances.take(accountId, 1) > 0) throw new errors.TemporarilyUnavailable('so many tokens are enough for now: use those that you have');
    await database.transaction(async (tx) => {
      const account = await tx.findOne(ServiceAccount, { where: { id: accountId, enabled: true }, ...forUpdate(tx) });
      const at = await database.now(tx);
      const endsAt = account && proof ? await secretEndsAt(tx, accountId, proof.digest, at.getTime()) : null;
      if (!account || endsAt === null) throw new errors.InvalidClient('the secret has ended');
      const granted = await permissionsOfServiceAccount(tx, accountId);
      const scopes = [...narrowedTo(scopesIn(scope), granted)];
      if (scopes.length === 0) throw new errors.InvalidScope('the service account may do none of it', scope as string);
      const tokenEndsAt = Math.min(endsAt, at.getTime() + seconds * 1000);
      await insertToken(tx, accountId, { digest: this.deps.digest(token), scopes, endsAt: tokenEndsAt }, at);
      await recordEvent(tx, { ...byAccount(accountId, whence), action: 'token.issued', subject: account, after: { scopes, expiresAt: new Date(tokenEndsAt) }, at });
    });
  }

  /** A token that works, as oidc-provider knows it; its times in those of this process. */
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

  /** Ends a token, and tells of it; what has ended stays as it is. */
  async end(token: string, whence: Whence): Promise<void> {
    const { database } = this.deps;
    await database.transaction(async (tx) => {
      const at = await database.now(tx);
      const accountId = await endToken(tx, this.deps.digest(token), at);
      if (accountId === null) return;
      const subject = await tx.findOneByOrFail(ServiceAccount, { id: accountId });
      await recordEvent(tx, { ...byAccount(accountId, whence), action: 'token.revoked', subject, before: { endedAt: null }, after: { endedAt: at }, at });
    });
  }
}

const byAccount = (id: string, whence: Whence): Origin => ({ actor: { kind: 'SERVICE_ACCOUNT', id }, ...whence });
