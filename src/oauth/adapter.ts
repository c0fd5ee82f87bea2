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

/** How applications are answered: in the query of their address. The other modes take a script, here or there. */
export const RESPONSE_MODE = 'query';

export interface AdapterDeps {
  database: Database;
  digest(text: string): string;
  clients: ClientService;
  consents: ConsentService;
  accountTokens: AccountTokens;
  /** Where a request came from. */
  whenceOf(request: IncomingMessage | undefined): Whence;
}

/** What stands in a payload for what its bearer has, which is stored nowhere. */
const BEARER = '{bearer}';

/** Those that may be used once: coming again they are told apart from what never was. */
const USED_ONCE = new Set(['AuthorizationCode', 'RefreshToken']);
/** What one of them is exchanged for. */
const EXCHANGED_FOR = new Set(['AccessToken', 'RefreshToken']);

const secondsOf = (ms: number): number => Math.floor(ms / 1000);

/** What oidc-provider keeps, by the name of its model. */
export function adapterFactory(deps: AdapterDeps): (model: string) => Adapter {
  const tokens = new Tokens(deps);
  const { accountTokens } = deps;
  const whence = () => deps.whenceOf(Provider.ctx?.req);
  return (model) => {
    if (model === 'Client') return { ...NOTHING, find: (id) => (accountTokens.isAccount(id) ? accountTokens.findClient(id) : findClient(deps, id)) };
    if (model === 'Grant') return { ...NOTHING, find: (id) => findGrant(deps, id), destroy: (id) => endGrant(deps, id) };
    if (model === 'Session') return NOTHING; // who has signed in, our own sessions tell alone
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

/** What has nothing to keep. Tokens of a grant need no end of their own: they end with the consent, which each use asks for. */
const NOTHING: Adapter = {
  upsert: () => Promise.resolve(),
  find: () => Promise.resolve(undefined),
  findByUserCode: () => Promise.resolve(undefined),
  findByUid: () => Promise.resolve(undefined),
  consume: () => Promise.resolve(),
  destroy: () => Promise.resolve(),
  revokeByGrantId: () => Promise.resolve(),
};

/** A client as oidc-provider knows clients. In the place of its secret is the digest, which `compareClientSecret` is told to expect. */
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
    application_type: secretDigest === null ? 'native' : 'web', // native ones may have loopback addresses, on any port
    token_endpoint_auth_method: secretDigest === null ? 'none' : 'client_secret_basic',
    ...(secretDigest !== null && { client_secret: secretDigest }),
  };
}

/** A consent as oidc-provider knows grants, cut down to what its person may grant now. */
async function findGrant({ database, consents }: AdapterDeps, id: string): Promise<AdapterPayload | undefined> {
  const living = await consents.living(database.lookups, id);
  if (!living) return undefined;
  const { consent, scopes } = living;
  return { kind: 'Grant', jti: id, accountId: consent.userId, clientId: consent.clientId, openid: { scope: scopes.join(' ') } };
}

/** oidc-provider asks for it where a code or a refresh token comes again, and where a token is revoked. */
async function endGrant({ database, consents, whenceOf }: AdapterDeps, id: string): Promise<void> {
  const { oidc, req } = Provider.ctx ?? {};
  await database.transaction(async (tx) => {
    const consent = await tx.findOneBy(Consent, { id });
    const action = oidc?.route === 'revocation' ? 'token.revoked' : 'token.reused';
    if (consent) await consents.end(tx, consent, { ...byClient(id, whenceOf(req)), action }, await database.now(tx));
  });
}

const byClient = (consentId: string, whence: Whence): Origin => ({ actor: { kind: 'OAUTH_CLIENT', id: consentId }, ...whence });

/** What redeeming a code, or a refresh token, does: it is used up, and both tokens are kept. */
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

/** Codes, tokens and authorizations under way: each as the digest of what its bearer has. */
class Tokens {
  /** Those of requests that have not come to their end. */
  private readonly exchanges = new WeakMap<OidcContext, Exchange>();

  constructor(private readonly deps: AdapterDeps) {}

  /** Keeps one; of an exchange both tokens at once, when the second comes: what fails before has used nothing up, and may be tried again. */
  async keep(kept: Kept): Promise<void> {
    const { database } = this.deps;
    const { oidc } = Provider.ctx ?? {};
    const exchange = oidc && this.exchanges.get(oidc);
    if (!exchange || !EXCHANGED_FOR.has(kept.kind)) return database.transaction(async (tx) => this.insert(tx, kept, await database.now(tx)));
    exchange.kept.push(kept);
    if (exchange.kept.length < EXCHANGED_FOR.size) return;
    const { usedKind, usedId } = exchange;
    const isFirst = await database.transaction(async (tx) => {
      const at = await database.now(tx);
      const { affected } = await tx.update(OAuthToken, { digest: this.deps.digest(usedId), kind: usedKind, endedAt: IsNull() }, { endedAt: at });
      if (affected === 0) return false;
      for (const one of exchange.kept) await this.insert(tx, one, at);
      return true;
    });
    if (!isFirst) await this.comesAgain(usedKind, usedId);
  }

  /** What has not ended, nor anything that it hangs on. By the database's clock: its times are told in those of this process, which oidc-provider compares them with. */
  async find(kind: string, id: string): Promise<AdapterPayload | undefined> {
    const { database, consents } = this.deps;
    const token = await database.lookups.findOneBy(OAuthToken, { digest: this.deps.digest(id), kind });
    const nowMs = (await database.now()).getTime();
    if (!token || token.expiresAt.getTime() <= nowMs || (token.endedAt && !USED_ONCE.has(kind))) return undefined;
    const payload = withBearer(JSON.parse(token.payload) as AdapterPayload, BEARER, id);
    if (kind === 'AuthorizationCode' && !Provider.ctx?.oidc.client?.redirectUriAllowed(payload.redirectUri ?? '')) return undefined; // that address was taken away
    if (token.consentId !== null) {
      const living = await consents.living(database.lookups, token.consentId);
      if (!living) return undefined;
      if (kind === 'AccessToken') payload.scope = token.scopes.filter((scope) => living.scopes.includes(scope)).join(' ');
    }
    const awayMs = Date.now() - nowMs;
    const times = { iat: secondsOf(token.createdAt.getTime() + awayMs), exp: secondsOf(token.expiresAt.getTime() + awayMs) };
    return { ...payload, ...times, ...(token.endedAt && { consumed: secondsOf(token.endedAt.getTime() + awayMs) }) };
  }

  /** Begins an exchange. Of several of one code or token one succeeds; for the others it is as if it came again. */
  useUp(kind: string, id: string): void {
    const { oidc } = Provider.ctx ?? {};
    if (oidc) this.exchanges.set(oidc, { usedKind: kind, usedId: id, kept: [] });
  }

  /** What has ended stays as it is. */
  async end(kind: string, id: string): Promise<void> {
    const { database } = this.deps;
    await database.transaction(async (tx) => tx.update(OAuthToken, { digest: this.deps.digest(id), kind, endedAt: IsNull() }, { endedAt: await database.now(tx) }));
  }

  private async comesAgain(kind: string, id: string): Promise<never> {
    const token = await this.deps.database.lookups.findOneBy(OAuthToken, { digest: this.deps.digest(id), kind });
    if (token?.consentId) await endGrant(this.deps, token.consentId);
    throw new errors.InvalidGrant('it was used already');
  }

  private async insert(tx: EntityManager, { kind, id, payload, seconds }: Kept, at: Date): Promise<void> {
    const digest = this.deps.digest(id);
    const expiresAt = later(at, seconds * 1000);
    const values = { consentId: payload.grantId ?? null, scopes: scopesIn(payload.scope), payload: JSON.stringify(withBearer(payload, id, BEARER)), expiresAt };
    const { affected } = await tx.update(OAuthToken, { digest, kind }, values);
    if (affected === 0) await tx.insert(OAuthToken, { digest, kind, ...values, endedAt: null, createdAt: at });
    if (payload.grantId) await this.tell(tx, kind, payload, expiresAt, at);
  }

  private async tell(tx: EntityManager, kind: string, { grantId = '', gty = '', scope, accountId, clientId }: AdapterPayload, expiresAt: Date, at: Date): Promise<void> {
    if (kind === 'RefreshToken') await tx.update(Consent, { id: grantId, endedAt: IsNull() }, { expiresAt });
    if (kind !== 'AccessToken') return;
    const consent = await tx.findOneByOrFail(Consent, { id: grantId });
    const action = gty.endsWith('refresh_token') ? 'token.refreshed' : 'token.issued';
    const after = { clientId, userId: accountId, scopes: scopesIn(scope), expiresAt };
    await recordEvent(tx, { ...byClient(grantId, this.deps.whenceOf(Provider.ctx?.req)), action, subject: consent, after, at });
  }
}

/** A payload with `other` where it has what its bearer has: its own name, and the address of an authorization under way. What strangers may write is left alone. */
function withBearer({ jti, returnTo, ...payload }: AdapterPayload, bearer: string, other: string): AdapterPayload {
  return { ...payload, ...(jti && { jti: other }), ...(returnTo && { returnTo: returnTo.replace(bearer, other) }) };
}

/** Every scope that there is: those of OpenID Connect, and every permission. */
export const scopesOf = (permissions: readonly string[]): string[] => [...Object.keys(IDENTITY_WORDS), ...permissions];
