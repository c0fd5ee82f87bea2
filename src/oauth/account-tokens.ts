import './node-20';
import { LessThan, IsNull, MoreThan, Not, type EntityManager } from 'typeorm';
import Provider, { errors, type AdapterPayload, type KoaContextWithOIDC } from 'oidc-provider';
import type { Whence } from '../access/people/person.events';
import { allows } from '../access/permissions';
import { PEPPER_VERSION } from '../access/secret';
import { recordEvent, type Origin } from '../audit/record-event';
import { forUpdate, type Database } from '../db/database';
import { hmacSha256 } from '../lib/hmac';
import { TokenBuckets } from '../lib/token-buckets';
import { ServiceAccount, ServiceAccountSecret } from '../service-accounts/service-account.entity';
import { permissionsOfServiceAccount } from '../service-accounts/service-account.queries';
import { ACCESS_TOKEN_SECONDS } from './lifetimes';
import { scopesIn } from './scopes';

// Client credentials: a service account is a client of its own, by its id and its secret, and gets access tokens. Each is one more secret of
// the account, which ends within the hour and may do no more than was asked for: what ends secrets ends it too, at once and on every node.

export interface AccountTokensDeps {
  database: Database;
  pepper: string;
  knownPermissions(): Promise<string[]>;
}

/** The secret that an account has come with, and for how many seconds it still works. */
interface Proof {
  digest: string;
  seconds: number;
}

/** Tokens that an account gets from a process at once, and how many more in a second: each is good for an hour. */
const ACCOUNT_TOKENS = 100;
const ACCOUNT_TOKENS_PER_SECOND = 1;

/** What oidc-provider knows of a request. */
export type OidcContext = KoaContextWithOIDC['oidc'];

const KIND = 'ClientCredentials';

export class AccountTokens {
  private readonly digest: (secret: string) => string;
  private readonly allowances = new TokenBuckets({ most: ACCOUNT_TOKENS, perSecond: ACCOUNT_TOKENS_PER_SECOND, now: () => performance.now() });
  /** By request: clients are shared by all requests of an account, whichever of its secrets they came with. */
  private readonly proofs = new WeakMap<OidcContext, Proof>();

  constructor(private readonly deps: AccountTokensDeps) {
    this.digest = hmacSha256(deps.pepper);
  }

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
    const scopes = (await this.deps.knownPermissions()).filter((name) => allows(granted, name));
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
    const digest = this.digest(secret);
    const now = (await database.now()).getTime();
    const endsAt = await this.endOf(database.lookups, accountId, digest, now);
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
      const endsAt = account && proof ? await this.endOf(tx, accountId, proof.digest, at.getTime()) : null;
      if (!account || endsAt === null) throw new errors.InvalidClient('the secret has ended');
      const granted = await permissionsOfServiceAccount(tx, accountId);
      const scopes = scopesIn(scope).filter((name) => allows(granted, name));
      const graceUntil = Math.min(endsAt, at.getTime() + seconds * 1000);
      if (scopes.length === 0) throw new errors.InvalidScope('the service account may do none of it', scope as string);
      await tx.delete(ServiceAccountSecret, { accountId, scopes: Not(IsNull()), graceUntil: LessThan(at.getTime()) });
      await tx.insert(ServiceAccountSecret, { digest: this.digest(token), pepperVersion: PEPPER_VERSION, accountId, scopes, graceUntil, endedAt: null, createdAt: at });
      await recordEvent(tx, { ...byAccount(accountId, whence), action: 'token.issued', subject: account, after: { scopes, expiresAt: new Date(graceUntil) }, at });
    });
  }

  /** A token that works, as oidc-provider knows it; its times in those of this process. */
  async find(token: string): Promise<AdapterPayload | undefined> {
    const { database } = this.deps;
    const nowMs = (await database.now()).getTime();
    const kept = await database.lookups.findOneBy(ServiceAccountSecret, { digest: this.digest(token), endedAt: IsNull(), graceUntil: MoreThan(nowMs) });
    if (!kept?.scopes || !(await this.account(kept.accountId))) return undefined;
    const granted = await permissionsOfServiceAccount(database.lookups, kept.accountId);
    const secondsOf = (ms: number) => Math.floor((ms + Date.now() - nowMs) / 1000);
    return {
      kind: KIND,
      jti: token,
      clientId: kept.accountId,
      scope: kept.scopes.filter((name) => allows(granted, name)).join(' '),
      iat: secondsOf(kept.createdAt.getTime()),
      exp: secondsOf(kept.graceUntil as number),
    };
  }

  /** Ends a token, and tells of it; what has ended stays as it is. */
  async end(token: string, whence: Whence): Promise<void> {
    const { database } = this.deps;
    const digest = this.digest(token);
    await database.transaction(async (tx) => {
      const at = await database.now(tx);
      const { affected } = await tx.update(ServiceAccountSecret, { digest, scopes: Not(IsNull()), endedAt: IsNull() }, { endedAt: at.getTime() });
      if (affected === 0) return;
      const { accountId } = await tx.findOneByOrFail(ServiceAccountSecret, { digest });
      const subject = await tx.findOneByOrFail(ServiceAccount, { id: accountId });
      await recordEvent(tx, { ...byAccount(accountId, whence), action: 'token.revoked', subject, before: { endedAt: null }, after: { endedAt: at }, at });
    });
  }

  /** Until when a secret of an account works, in milliseconds, Infinity where nothing is to end it; null for a token, and where it has ended or never was one. */
  private async endOf(reader: EntityManager, accountId: string, digest: string, now: number): Promise<number | null> {
    const secret = await reader.findOneBy(ServiceAccountSecret, { digest, accountId, scopes: IsNull(), endedAt: IsNull() });
    const endsAt = secret && (secret.graceUntil ?? Infinity);
    return endsAt !== null && endsAt > now ? endsAt : null;
  }
}

const byAccount = (id: string, whence: Whence): Origin => ({ actor: { kind: 'SERVICE_ACCOUNT', id }, ...whence });
