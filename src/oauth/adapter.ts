import './node-20';
import type { IncomingMessage } from 'node:http';
import Provider, { errors, type Adapter, type AdapterPayload } from 'oidc-provider';
import { IsNull, type EntityManager } from 'typeorm';
import type { Whence } from '../access/people/person.events';
import { recordEvent, type Origin } from '../audit/record-event';
import type { Database } from '../db/database';
import { later } from '../lib/time';
import type { AccountTokens, OidcContext } from './account-tokens';
import type { ClientService } from './client.service';
import { Consent } from './consent.entity';
import type { ConsentService } from './consent.service';
import { IDENTITY_WORDS, scopesIn } from './scopes';
import { OAuthToken } from './token.entity';

/** The only response mode: parameters in the query of the redirect. The other modes need a script here or in the application. */
export const RESPONSE_MODE = 'query';

export interface AdapterDeps {
  database: Database;
  digest(text: string): string;
  clients: ClientService;
  consents: ConsentService;
  accountTokens: AccountTokens;
  /** Returns the address and user agent of a request. */
  whenceOf(request: IncomingMessage | undefined): Whence;
}

/** Placeholder in a stored payload for the secret value of a token or code. The value itself is never stored. */
const BEARER = '{bearer}';

/** Models that may be used once. A used code or token stays readable, so that a second use is recognised. */
const USED_ONCE = new Set(['AuthorizationCode', 'RefreshToken']);
/** Models that a client gets in exchange for a model of USED_ONCE. */
const EXCHANGED_FOR = new Set(['AccessToken', 'RefreshToken']);

const secondsOf = (ms: number): number => Math.floor(ms / 1000);

/** Returns a factory for the storage adapters of oidc-provider, by model name. */
export function adapterFactory(deps: AdapterDeps): (model: string) => Adapter {
  const tokens = new Tokens(deps);
  const { accountTokens } = deps;
  const whence = () => deps.whenceOf(Provider.ctx?.req);
  return (model) => {
    if (model === 'Client') {
      return { ...NOTHING, find: (id) => (accountTokens.isAccount(id) ? accountTokens.findClient(id) : findClient(deps, id)) };
    }
    if (model === 'Grant') return { ...NOTHING, find: (id) => findGrant(deps, id), destroy: (id) => endGrant(deps, id) };
    if (model === 'Session') return NOTHING; // sign-in uses Tollgate's own sessions
    if (model === 'ClientCredentials') {
      return {
        ...NOTHING,
        upsert: (id, payload, expiresIn) => accountTokens.keep(id, payload, expiresIn ?? 0, whence()),
        find: (id) => accountTokens.find(id),
        destroy: (id) => accountTokens.end(id, whence()),
      };
    }
    return {
      ...NOTHING,
      upsert: (id, payload, expiresIn) => tokens.keep({ kind: model, id, payload, seconds: expiresIn ?? 0 }),
      find: (id) => tokens.find(model, id),
      consume: (id) => Promise.resolve(tokens.useUp(model, id)),
      destroy: (id) => tokens.end(model, id),
    };
  };
}

/** An adapter that stores nothing. `revokeByGrantId` does nothing either: tokens end with their consent, because each use checks it. */
const NOTHING: Adapter = {
  upsert: () => Promise.resolve(),
  find: () => Promise.resolve(undefined),
  findByUserCode: () => Promise.resolve(undefined),
  findByUid: () => Promise.resolve(undefined),
  consume: () => Promise.resolve(),
  destroy: () => Promise.resolve(),
  revokeByGrantId: () => Promise.resolve(),
};

/** Returns a client in the form of oidc-provider. Its `client_secret` is the digest: our `compareClientSecret` compares digests. */
async function findClient({ clients }: AdapterDeps, id: string): Promise<AdapterPayload | undefined> {
  const client = await clients.find(id);
  if (!client) return undefined;
  const { name, redirectUris, secretDigest } = client;
  return {
    client_id: id,
    client_name: name,
    redirect_uris: redirectUris,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    response_modes: [RESPONSE_MODE],
    application_type: secretDigest === null ? 'native' : 'web', // native allows loopback addresses on any port
    token_endpoint_auth_method: secretDigest === null ? 'none' : 'client_secret_basic',
    ...(secretDigest !== null && { client_secret: secretDigest }),
  };
}

/** Returns a consent as a grant of oidc-provider, with only the scopes that its person may still grant. */
async function findGrant({ database, consents }: AdapterDeps, id: string): Promise<AdapterPayload | undefined> {
  const living = await consents.living(database.lookups, id);
  if (!living) return undefined;
  const { consent, scopes } = living;
  return { kind: 'Grant', jti: id, accountId: consent.userId, clientId: consent.clientId, openid: { scope: scopes.join(' ') } };
}

/** Ends a consent. oidc-provider calls it if a code or refresh token is used again, and if a token is revoked. */
async function endGrant({ database, consents, whenceOf }: AdapterDeps, id: string): Promise<void> {
  const { oidc, req } = Provider.ctx ?? {};
  await database.transaction(async (tx) => {
    const consent = await tx.findOneBy(Consent, { id });
    const action = oidc?.route === 'revocation' ? 'token.revoked' : 'token.reused';
    if (consent) await consents.end(tx, consent, { ...byClient(id, whenceOf(req)), action }, await database.now(tx));
  });
}

const byClient = (consentId: string, whence: Whence): Origin => ({ actor: { kind: 'OAUTH_CLIENT', id: consentId }, ...whence });

/** The exchange of a code or refresh token for new tokens: uses it up, and stores both new tokens in one transaction. */
interface Exchange {
  usedKind: string;
  usedId: string;
  kept: Kept[];
}

interface Kept {
  kind: string;
  id: string;
  payload: AdapterPayload;
  seconds: number;
}

/** Stores codes, tokens and pending authorizations, each under the digest of its secret value. */
class Tokens {
  /** Exchanges of the requests that are running. */
  private readonly exchanges = new WeakMap<OidcContext, Exchange>();

  constructor(private readonly deps: AdapterDeps) {}

  /**
   * Stores a payload. In an exchange, stores both tokens together when the second one arrives. If something fails before that, the code is
   * not used up, and the client may try again.
   */
  async keep(kept: Kept): Promise<void> {
    const { database } = this.deps;
    const { oidc } = Provider.ctx ?? {};
    const exchange = oidc && this.exchanges.get(oidc);
    if (!exchange || !EXCHANGED_FOR.has(kept.kind)) {
      return database.transaction(async (tx) => this.insert(tx, kept, await database.now(tx)));
    }
    exchange.kept.push(kept);
    if (exchange.kept.length < EXCHANGED_FOR.size) return;
    const { usedKind, usedId } = exchange;
    const isFirst = await database.transaction(async (tx) => {
      const at = await database.now(tx);
      const unused = { digest: this.deps.digest(usedId), kind: usedKind, endedAt: IsNull() };
      const { affected } = await tx.update(OAuthToken, unused, { endedAt: at });
      if (affected === 0) return false;
      for (const token of exchange.kept) await this.insert(tx, token, at);
      return true;
    });
    if (!isFirst) await this.refuseReuse(usedKind, usedId);
  }

  /**
   * Returns a token if the token and its consent have not ended by the database's clock. A code or refresh token that was used is returned
   * as `consumed`. Converts the times to the clock of this process, because oidc-provider compares them with this clock.
   */
  async find(kind: string, id: string): Promise<AdapterPayload | undefined> {
    const { database, consents } = this.deps;
    const token = await database.lookups.findOneBy(OAuthToken, { digest: this.deps.digest(id), kind });
    const nowMs = (await database.now()).getTime();
    if (!token || token.expiresAt.getTime() <= nowMs || (token.endedAt && !USED_ONCE.has(kind))) return undefined;
    const payload = withBearer(JSON.parse(token.payload) as AdapterPayload, BEARER, id);
    const { redirectUri = '' } = payload;
    // The redirect address may have been removed from the client in the meantime
    if (kind === 'AuthorizationCode' && !Provider.ctx?.oidc.client?.redirectUriAllowed(redirectUri)) return undefined;
    if (token.consentId !== null) {
      const living = await consents.living(database.lookups, token.consentId);
      if (!living) return undefined;
      if (kind === 'AccessToken') payload.scope = token.scopes.filter((scope) => living.scopes.includes(scope)).join(' ');
    }
    const clockOffsetMs = Date.now() - nowMs;
    const times = { iat: secondsOf(token.createdAt.getTime() + clockOffsetMs), exp: secondsOf(token.expiresAt.getTime() + clockOffsetMs) };
    return { ...payload, ...times, ...(token.endedAt && { consumed: secondsOf(token.endedAt.getTime() + clockOffsetMs) }) };
  }

  /** Starts an exchange. If several requests exchange the same code or token, one succeeds. The others count as reuse. */
  useUp(kind: string, id: string): void {
    const { oidc } = Provider.ctx ?? {};
    if (oidc) this.exchanges.set(oidc, { usedKind: kind, usedId: id, kept: [] });
  }

  /** Does nothing if it has already ended. */
  async end(kind: string, id: string): Promise<void> {
    const { database, digest } = this.deps;
    await database.transaction(async (tx) => {
      await tx.update(OAuthToken, { digest: digest(id), kind, endedAt: IsNull() }, { endedAt: await database.now(tx) });
    });
  }

  private async refuseReuse(kind: string, id: string): Promise<never> {
    const token = await this.deps.database.lookups.findOneBy(OAuthToken, { digest: this.deps.digest(id), kind });
    if (token?.consentId) await endGrant(this.deps, token.consentId);
    throw new errors.InvalidGrant('the code or token was already used');
  }

  private async insert(tx: EntityManager, { kind, id, payload, seconds }: Kept, at: Date): Promise<void> {
    const digest = this.deps.digest(id);
    const expiresAt = later(at, seconds * 1000);
    const stored = JSON.stringify(withBearer(payload, id, BEARER));
    const values = { consentId: payload.grantId ?? null, scopes: scopesIn(payload.scope), payload: stored, expiresAt };
    const { affected } = await tx.update(OAuthToken, { digest, kind }, values);
    if (affected === 0) await tx.insert(OAuthToken, { digest, kind, ...values, endedAt: null, createdAt: at });
    if (payload.grantId) await this.record(tx, kind, payload, expiresAt, at);
  }

  /** Extends the consent for a refresh token, and records an event for an access token. */
  private async record(tx: EntityManager, kind: string, payload: AdapterPayload, expiresAt: Date, at: Date): Promise<void> {
    const { grantId = '', gty = '', scope, accountId, clientId } = payload;
    if (kind === 'RefreshToken') await tx.update(Consent, { id: grantId, endedAt: IsNull() }, { expiresAt });
    if (kind !== 'AccessToken') return;
    const consent = await tx.findOneByOrFail(Consent, { id: grantId });
    const action = gty.endsWith('refresh_token') ? 'token.refreshed' : 'token.issued';
    const after = { clientId, userId: accountId, scopes: scopesIn(scope), expiresAt };
    await recordEvent(tx, { ...byClient(grantId, this.deps.whenceOf(Provider.ctx?.req)), action, subject: consent, after, at });
  }
}

/**
 * Replaces `bearer` by `other` in `jti`. In a pending authorization, replaces it in `returnTo` too. Does not change other members, because
 * callers may choose their values.
 */
function withBearer({ jti, returnTo, ...payload }: AdapterPayload, bearer: string, other: string): AdapterPayload {
  return { ...payload, ...(jti && { jti: other }), ...(returnTo && { returnTo: returnTo.replace(bearer, other) }) };
}

/** Returns all scopes: the scopes of OpenID Connect and all permissions. */
export const scopesOf = (permissions: readonly string[]): string[] => [...Object.keys(IDENTITY_WORDS), ...permissions];
