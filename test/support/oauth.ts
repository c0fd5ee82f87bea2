import { createHash } from 'node:crypto';
import type { OAuthClient } from '../../src/oauth/client.entity';
import type { Project } from '../../src/tenancy/project.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from './app';
import { ORIGIN, buildProject, buildWorkspace } from './factories';
import { buildPerson, type BuiltPerson } from './people';

type App = Pick<TestApp, 'services' | 'people' | 'oauth' | 'database' | 'url'>;

export const REDIRECT_URI = 'https://shop.example/callback';
/** Redirect address of a program on a device. A request adds a port. */
export const LOOPBACK_URI = 'http://127.0.0.1/callback';

export interface BuiltClient {
  client: OAuthClient;
  secret: string | null;
  workspace: Workspace;
  project: Project;
  /** An owner of the workspace. */
  person: BuiltPerson;
}

interface ClientOptions {
  confidential?: boolean;
  workspace?: Workspace;
  redirectUris?: string[];
}

/** Builds an application, a project, and a person who may give consent. The application is confidential by default. */
export async function buildClient(
  app: App,
  { confidential = true, workspace: known, redirectUris = [confidential ? REDIRECT_URI : LOOPBACK_URI] }: ClientOptions = {},
): Promise<BuiltClient> {
  const workspace = known ?? (await buildWorkspace(app));
  const project = await buildProject(app, { workspace });
  const input = { workspaceId: workspace.id, name: 'Shop', confidential, redirectUris };
  const { client, secret } = await app.oauth.clients.create(ORIGIN, input);
  return { client, secret, workspace, project, person: await buildPerson(app, { workspace }) };
}

interface Page {
  status: number;
  address: string;
  body: string;
  headers: Headers;
}

/** A minimal browser: keeps cookies, and follows redirects within `url`. */
export class Visitor {
  private readonly cookies = new Map<string, { value: string; path: string }>();

  constructor(
    readonly url: string,
    signedIn?: { cookie: string },
  ) {
    if (!signedIn) return;
    const [name = '', value = ''] = signedIn.cookie.split('=');
    this.cookies.set(`${name} /`, { value, path: '/' });
  }

  /** Sends a request. Returns the page that it leads to, or the address of another site. Without `follow` returns the first redirect. */
  async go(
    address: string,
    form?: Record<string, string>,
    headers: Record<string, string> = {},
    { follow = true } = {},
  ): Promise<Page> {
    const target = new URL(address, this.url);
    const formHeaders = form && { 'content-type': 'application/x-www-form-urlencoded', origin: this.url };
    const response = await fetch(target, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie: this.cookiesFor(target.pathname), accept: 'text/html', ...formHeaders, ...headers },
      ...(form && { body: new URLSearchParams(form).toString() }),
    });
    for (const cookie of response.headers.getSetCookie()) this.keep(cookie);
    const { status } = response;
    const location = response.headers.get('location');
    if (location === null) return { status, address: target.href, body: await response.text(), headers: response.headers };
    const next = new URL(location, target);
    if (!follow || next.origin !== new URL(this.url).origin) return { status, address: next.href, body: '', headers: response.headers };
    return this.go(next.href);
  }

  private keep(text: string): void {
    const [pair = '', ...attributes] = text.split(';').map((part) => part.trim());
    const path = attributes.find((attribute) => /^path=/i.test(attribute))?.slice(5) ?? '/';
    const name = pair.slice(0, pair.indexOf('='));
    const value = pair.slice(pair.indexOf('=') + 1);
    const isExpired = attributes.some((attribute) => /^expires=Thu, 01 Jan 1970/i.test(attribute));
    if (value === '' || isExpired) this.cookies.delete(`${name} ${path}`);
    else this.cookies.set(`${name} ${path}`, { value, path });
  }

  private cookiesFor(pathname: string): string {
    const sent = [...this.cookies].filter(([, { path }]) => path === '/' || pathname === path || pathname.startsWith(`${path}/`));
    return sent.map(([key, { value }]) => `${key.split(' ')[0]}=${value}`).join('; ');
  }
}

/** Answers the consent page as a person. Returns the address that the browser is redirected to. */
export async function agree(
  app: Pick<TestApp, 'url'>,
  authorizationUrl: URL,
  { person, project }: Pick<BuiltClient, 'person' | 'project'>,
  decision: 'allow' | 'refuse' = 'allow',
): Promise<URL> {
  const visitor = new Visitor(app.url, person.cookie);
  const asked = await visitor.go(authorizationUrl.href);
  if (!asked.body.includes('<form')) throw new Error(`This is not the consent page: ${asked.status} ${asked.address} ${asked.body}`);
  const answered = await visitor.go(asked.address, { decision, projectId: project.id });
  return new URL(answered.address);
}

/** The answer of the token endpoint, or of another endpoint for forms. */
export interface Answer {
  status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the type of its answer
  body: any;
}

/** Sends a form to an endpoint as a client, without a client library. */
export async function ask(
  { url }: Pick<TestApp, 'url'>,
  path: string,
  { client, secret }: Pick<BuiltClient, 'client' | 'secret'>,
  form: Record<string, string>,
): Promise<Answer> {
  const credentials = Buffer.from(`${client.id}:${secret}`).toString('base64');
  const basic: Record<string, string> = secret === null ? {} : { authorization: `Basic ${credentials}` };
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...basic };
  const body = new URLSearchParams({ ...(secret === null && { client_id: client.id }), ...form }).toString();
  const response = await fetch(`${url}${path}`, { method: 'POST', headers, body });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

/** The answer of the token endpoint to a code or refresh token that is not accepted. */
export const INVALID_GRANT = { status: 400, body: { error: 'invalid_grant', error_description: 'grant request is invalid' } };

export const VERIFIER = 'a-verifier-that-is-long-enough-0123456789-abc';
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');

type Parameters = Record<string, string | null>;

/** Returns the URL that a client sends a person's browser to. Leaves out parameters that are null. */
export function authorizationUrl(
  { url }: Pick<TestApp, 'url'>,
  { client }: Pick<BuiltClient, 'client'>,
  parameters: Parameters = {},
): URL {
  const given = {
    client_id: client.id,
    response_type: 'code',
    redirect_uri: client.redirectUris[0] as string,
    scope: 'openid demo.echo read.keys',
    state: 'state',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
    ...parameters,
  };
  const address = new URL('/oauth/authorize', url);
  for (const [name, value] of Object.entries(given)) if (value !== null) address.searchParams.set(name, value);
  return address;
}

/** Gives consent as the person and returns the code. */
export async function codeFor(app: Pick<TestApp, 'url'>, built: BuiltClient, parameters: Parameters = {}): Promise<string> {
  const back = await agree(app, authorizationUrl(app, built, parameters), built);
  const code = back.searchParams.get('code');
  if (code === null) throw new Error(`There is no code in ${back.href}.`);
  return code;
}

/** Exchanges a code for tokens. */
export function redeem(
  app: Pick<TestApp, 'url'>,
  built: BuiltClient,
  code: string,
  form: Record<string, string> = { code_verifier: VERIFIER },
): Promise<Answer> {
  const redirectUri = built.client.redirectUris[0] as string;
  return ask(app, '/oauth/token', built, { grant_type: 'authorization_code', code, redirect_uri: redirectUri, ...form });
}

export const refresh = (app: Pick<TestApp, 'url'>, built: BuiltClient, refreshToken: string): Promise<Answer> =>
  ask(app, '/oauth/token', built, { grant_type: 'refresh_token', refresh_token: refreshToken });

interface Tokens {
  access: string;
  refresh: string;
  scope: string;
}

/** Gives consent as the person and returns the tokens. */
export async function tokensFor(app: Pick<TestApp, 'url'>, built: BuiltClient, parameters: Parameters = {}): Promise<Tokens> {
  const { status, body } = await redeem(app, built, await codeFor(app, built, parameters));
  if (status !== 200) throw new Error(`A code was not redeemed: ${status} ${JSON.stringify(body)}`);
  return { access: body.access_token, refresh: body.refresh_token, scope: body.scope };
}
