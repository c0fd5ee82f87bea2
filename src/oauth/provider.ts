import './node-20';
import type { EventEmitter } from 'node:events';
import { createHash, hkdfSync, timingSafeEqual, type JsonWebKey } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import Provider, { interactionPolicy, type ClientAuthMethod, type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import { NOBODY_YET, type Whence } from '../access/people/person.events';
import { Person } from '../access/people/person.entity';
import { mintSecret } from '../access/secret';
import { recordEvent } from '../audit/record-event';
import type { Database } from '../db/database';
import type { Background } from '../lib/background';
import { MemoryThrottles } from '../lib/memory-throttles';
import type { AccountTokens } from './account-tokens';
import { RESPONSE_MODE, adapterFactory, scopesOf } from './adapter';
import type { ClientService } from './client.service';
import type { ConsentService } from './consent.service';
import { ACCESS_TOKEN_SECONDS, CODE_SECONDS, ID_TOKEN_SECONDS, INTERACTION_SECONDS, PRODUCT, REFRESH_TOKEN_SECONDS } from './lifetimes';
import type { SigningKeys } from './signing-keys';

// Configures oidc-provider, which implements the whole OAuth and OpenID Connect protocol.

/** Routes of the protocol. pages/oauth.server.ts also accepts a POST to the first one and turns it into a GET. */
export const OAUTH_ROUTES = [
  ['GET', '/oauth/authorize'],
  ['GET', '/oauth/authorize/:uid'],
  ['POST', '/oauth/token'],
  ['OPTIONS', '/oauth/token'],
  ['POST', '/oauth/revoke'],
  ['OPTIONS', '/oauth/revoke'],
  ['POST', '/oauth/introspect'],
  ['GET', '/oauth/jwks'],
  ['GET', '/.well-known/openid-configuration'],
  ['GET', '/.well-known/oauth-authorization-server'],
] as const;

/** Base path of the pages for signing in and agreeing. */
export const CONSENT_PATH = '/oauth/consent';

/** Methods of client authentication, the same at every endpoint. */
const CLIENT_AUTH_METHODS: ClientAuthMethod[] = ['client_secret_basic', 'client_secret_post', 'none'];
/** A claim only for clients with logout notifications, which are not supported here. */
const SESSION_ID = 'sid';

/**
 * Limits how many refusals of one client a process records in the audit trail: a burst, then one more in each interval. Anybody can cause
 * refusals, because the id of a client is public.
 */
const REFUSALS_TOLD = 20;
const REFUSAL_TOLD_EVERY_MS = 60_000;
/** Errors of normal use, which are not recorded. */
const NORMAL_ERRORS = new Set(['access_denied', 'login_required', 'consent_required', 'interaction_required']);

/** Lifetime of the cached permissions and signing keys. New keys are published a day before they sign, so the delay does no harm. */
const CACHE_MS = 1_000;

export interface OAuthProviderDeps {
  database: Database;
  pepper: string;
  digest(text: string): string;
  clients: ClientService;
  consents: ConsentService;
  accountTokens: AccountTokens;
  signingKeys: SigningKeys;
  background: Background;
  /** Public URL of this server without a trailing slash. It is the issuer. */
  baseUrl(): string;
  /** Returns the names of all permissions. */
  knownPermissions(): Promise<string[]>;
  /** Returns the page for an error if the browser cannot be redirected to the application. */
  errorPage(message: string): { headers: Record<string, string>; body: string };
  log: { error(properties: object, message: string): void; warn(properties: object, message: string): void };
}

/** Provides an instance of oidc-provider with the current signing keys and permissions. */
export class OAuthProvider {
  private readonly whences = new WeakMap<IncomingMessage, Whence>();
  private readonly refusals = new MemoryThrottles({ burst: REFUSALS_TOLD, intervalMs: REFUSAL_TOLD_EVERY_MS });
  private made: { fingerprint: string; provider: Provider } | undefined;
  private latest: { provider: Promise<Provider>; atMs: number } | undefined;

  constructor(private readonly deps: OAuthProviderDeps) {}

  /** Returns an instance with keys and permissions that are at most 1 s old. They are cached, because anybody can send such requests. */
  current(): Promise<Provider> {
    const nowMs = performance.now();
    if (this.latest && nowMs - this.latest.atMs < CACHE_MS) return this.latest.provider;
    const provider = this.read();
    this.latest = { provider, atMs: nowMs };
    provider.catch(() => (this.latest = undefined));
    return provider;
  }

  private async read(): Promise<Provider> {
    const keys = await this.deps.signingKeys.current();
    const scopes = scopesOf(await this.deps.knownPermissions());
    const issuer = this.deps.baseUrl();
    const fingerprint = createHash('sha256').update(JSON.stringify([issuer, keys, scopes])).digest('base64url');
    if (this.made?.fingerprint !== fingerprint) this.made = { fingerprint, provider: this.make(issuer, keys, scopes) };
    return this.made.provider;
  }

  /** Prepares a request for oidc-provider. Overwrites the forwarded headers with the public URL, so that a client cannot choose them. */
  receive(request: IncomingMessage, whence: Whence): void {
    const { protocol, host } = new URL(this.deps.baseUrl());
    request.headers['x-forwarded-proto'] = protocol.slice(0, -1);
    request.headers['x-forwarded-host'] = host;
    this.whences.set(request, whence);
  }

  /** Answers a request to one of OAUTH_ROUTES, also with errors. */
  async answer(provider: Provider, request: IncomingMessage, response: ServerResponse, whence: Whence): Promise<void> {
    this.receive(request, whence);
    await provider.callback()(request, response);
  }

  private make(issuer: string, keys: JsonWebKey[], scopes: string[]): Provider {
    const provider = new ProviderWithoutScripts(issuer, this.configuration(keys, scopes));
    provider.proxy = true; // reads the forwarded headers that `receive` sets
    provider.use(correctDiscovery);
    Object.assign(provider.AccessToken.prototype, {
      generateTokenId(this: { format: string }) {
        this.format = 'opaque';
        return mintSecret(PRODUCT, 'ACCESS');
      },
    });
    Object.assign(provider.AuthorizationCode.prototype, { generateTokenId: () => mintSecret(PRODUCT, 'CODE') });
    Object.assign(provider.RefreshToken.prototype, { generateTokenId: () => mintSecret(PRODUCT, 'REFRESH') });
    Object.assign(provider.ClientCredentials.prototype, {
      generateTokenId(this: { format: string; scope?: string; client: { scope?: string } }) {
        this.format = 'opaque';
        this.scope ??= this.client.scope; // a request without scopes gets all permissions of the account
        return mintSecret(PRODUCT, 'SVCTOKEN');
      },
    });
    const { accountTokens, digest } = this.deps;
    provider.Client.prototype.compareClientSecret = async function (secret: string) {
      if (accountTokens.isAccount(this.clientId)) return accountTokens.recognise(this.clientId, secret);
      return typeof this.clientSecret === 'string' && timingSafeEqual(Buffer.from(this.clientSecret), Buffer.from(digest(secret)));
    };
    const report = (error: Error, ctx?: KoaContextWithOIDC) => {
      if (ctx?.req.socket.destroyed !== true) this.deps.log.error({ err: error }, 'oauth: a request failed');
    };
    provider.on('server_error', (ctx, error) => report(error, ctx));
    (provider as EventEmitter).on('error', report); // otherwise Koa writes to the console, even if a client disconnects
    for (const event of ['grant.error', 'authorization.error', 'revocation.error', 'introspection.error'] as const) {
      provider.on(event as 'grant.error', (ctx, error) => this.recordRefusal(ctx, error));
    }
    return provider;
  }

  private configuration(keys: JsonWebKey[], scopes: string[]): Configuration {
    const { pepper, digest, clients, consents, accountTokens, database, errorPage } = this.deps;
    const whenceOf = (request: IncomingMessage | undefined) => (request && this.whences.get(request)) ?? { ip: null, userAgent: null };
    const sameSite = { httpOnly: true, sameSite: 'lax', signed: true } as const;
    return {
      adapter: adapterFactory({ database, digest, clients, consents, accountTokens, whenceOf }),
      jwks: { keys: keys as never },
      cookies: {
        keys: [Buffer.from(hkdfSync('sha256', pepper, '', 'tollgate oauth cookies', 32)).toString('base64')],
        names: { session: 'tollgate_oauth', interaction: 'tollgate_oauth_asked', resume: 'tollgate_oauth_resumed' },
        long: sameSite,
        short: sameSite,
      },
      routes: {
        authorization: '/oauth/authorize',
        token: '/oauth/token',
        revocation: '/oauth/revoke',
        introspection: '/oauth/introspect',
        jwks: '/oauth/jwks',
      },
      scopes,
      discovery: {
        introspection_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
        revocation_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
      },
      claims: { openid: ['sub'], profile: ['name'], email: ['email'] },
      responseTypes: ['code'],
      clientAuthMethods: CLIENT_AUTH_METHODS,
      enabledJWA: { idTokenSigningAlgValues: ['RS256'] },
      pkce: { required: () => true },
      ttl: {
        AccessToken: ACCESS_TOKEN_SECONDS,
        ClientCredentials: (ctx) => accountTokens.secondsOf(ctx),
        RefreshToken: REFRESH_TOKEN_SECONDS,
        IdToken: ID_TOKEN_SECONDS,
        AuthorizationCode: CODE_SECONDS,
        Interaction: INTERACTION_SECONDS,
        Session: INTERACTION_SECONDS,
        Grant: REFRESH_TOKEN_SECONDS,
      },
      rotateRefreshToken: true,
      issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
      expiresWithSession: () => false,
      revokeGrantPolicy: () => true, // revoking one token ends all tokens of its consent
      allowOmittingSingleRegisteredRedirectUri: false,
      clientBasedCORS: (_ctx, origin, client) => (client.redirectUris ?? []).some((uri) => new URL(uri).origin === origin),
      findAccount: async (_ctx, id) => {
        const person = await database.lookups.findOneBy(Person, { id });
        return person ? { accountId: id, claims: () => ({ sub: id, name: person.name, email: person.email }) } : undefined;
      },
      interactions: { policy: consentPolicy(), url: (_ctx, { uid }) => `${CONSENT_PATH}/${uid}` },
      renderError: (ctx, { error, error_description: description }) => {
        const { headers, body } = errorPage(description ? `${error}: ${description}.` : `${error}.`);
        ctx.set(headers);
        ctx.body = body;
      },
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        userinfo: { enabled: false }, // the ID token has all claims
        rpInitiatedLogout: { enabled: false },
        pushedAuthorizationRequests: { enabled: false },
        dPoP: { enabled: false },
        resourceIndicators: { enabled: false }, // there is only one resource, and scopes are its permissions
        introspection: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
        revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      },
    };
  }

  /** Records a refusal in the background. Drops it if the client has too many, so that further ones cost nothing. */
  private recordRefusal(ctx: KoaContextWithOIDC, error: Error & { error?: string; error_description?: string }): void {
    const { database, background, log } = this.deps;
    const clientId = ctx.oidc.entities.Client?.clientId;
    if (clientId === undefined) return; // belongs to no client, and so to no workspace
    if (NORMAL_ERRORS.has(error.error ?? '') || this.refusals.take(clientId, 1) > 0) return;
    const whence = this.whences.get(ctx.req) ?? { ip: null, userAgent: null };
    const record = async () => {
      const subject = (await this.deps.clients.find(clientId)) ?? (await this.deps.accountTokens.account(clientId));
      if (!subject) return;
      await database.transaction(async (tx) => {
        const at = await database.now(tx);
        const after = { clientId, endpoint: ctx.oidc.route, error: error.error ?? 'server_error', reason: error.error_description ?? null };
        await recordEvent(tx, { actor: NOBODY_YET, ...whence, action: 'token.refused', subject, after, at });
      });
    };
    background.run(record, (failure) => log.warn({ err: failure }, 'oauth: a refusal was not recorded'));
  }
}

/** Removes the response mode that needs a script on our page. An application that requests it gets an error at its redirect address. */
class ProviderWithoutScripts extends Provider {
  override registerResponseMode(...[name, handler]: Parameters<Provider['registerResponseMode']>): void {
    if (name !== 'form_post') super.registerResponseMode(name, handler);
  }
}

/** Removes features from the discovery document that oidc-provider always lists and that are not supported here. */
const correctDiscovery: Parameters<Provider['use']>[0] = async (ctx, next) => {
  await next();
  if (!ctx.path.startsWith('/.well-known/') || ctx.status !== 200) return;
  const document = ctx.body as { response_modes_supported: string[]; claims_supported: string[] };
  document.response_modes_supported = [RESPONSE_MODE];
  document.claims_supported = document.claims_supported.filter((claim) => claim !== SESSION_ID);
};

/** Asks for consent each time, even if the person has agreed before, because another program can use the public id of an application. */
function consentPolicy(): ReturnType<typeof interactionPolicy.base> {
  const { Check, base } = interactionPolicy;
  const policy = base();
  const { checks } = policy.get('consent') as { checks: { clear(): void; add(check: object): void } };
  checks.clear();
  checks.add(new Check('not_asked', 'the person has to agree', 'consent_required', ({ oidc }) => !oidc.result?.consent));
  return policy;
}
