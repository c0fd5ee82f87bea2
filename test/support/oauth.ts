import { createHash } from 'node:crypto';
import type { OAuthClient } from '../../src/oauth/client.entity';
import type { Project } from '../../src/tenancy/project.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from './app';
import { ORIGIN, buildProject, buildWorkspace } from './factories';
import { buildPerson, type BuiltPerson } from './people';

type App = Pick<TestApp, 'services' | 'people' | 'oauth' | 'database' | 'url'>;

export const REDIRECT_URI = 'https://shop.example/callback';
/** As a program on a device registers it; it comes with a port. */
export const LOOPBACK_URI = 'http://127.0.0.1/callback';

export interface BuiltClient {
  client: OAuthClient;
  secret: string | null;
  workspace: Workspace;
  project: Project;
  /** An owner of the workspace. */
  person: BuiltPerson;
}

/** An application, a project for it, and a person who may let it in; confidential unless told otherwise. */
export async function buildClient(app: App, { confidential = true, workspace: known, redirectUris }: { confidential?: boolean; workspace?: Workspace; redirectUris?: string[] } = {}): Promise<BuiltClient> {
  const workspace = known ?? (await buildWorkspace(app));
  const project = await buildProject(app, { workspace });
  const uris = redirectUris ?? [confidential ? REDIRECT_URI : LOOPBACK_URI];
  const { client, secret } = await app.oauth.clients.create(ORIGIN, { workspaceId: workspace.id, name: 'Shop', confidential, redirectUris: uris });
  return { client, secret, workspace, project, person: await buildPerson(app, { workspace }) };
}

/** A browser as far as cookies and redirects go; it follows them as long as they stay with `url`. */
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

  /** Where a request leads in the end: a page of ours, or the address of another site; or where it leads at once. */
  async go(address: string, form?: Record<string, string>, headers: Record<string, string> = {}, { follow = true } = {}): Promise<{ status: number; address: string; body: string; headers: Headers }> {
    const target = new URL(address, this.url);
    const response = await fetch(target, {
      method: form ? 'POST' : 'GET',
      redirect: 'manual',
      headers: { cookie: this.cookiesFor(target.pathname), accept: 'text/html', ...(form && { 'content-type': 'application/x-www-form-urlencoded', origin: this.url }), ...headers },
      ...(form && { body: new URLSearchParams(form).toString() }),
    });
    for (const cookie of response.headers.getSetCookie()) this.keep(cookie);
    const location = response.headers.get('location');
    if (location === null) return { status: response.status, address: target.href, body: await response.text(), headers: response.headers };
    const next = new URL(location, target);
    if (!follow || next.origin !== new URL(this.url).origin) return { status: response.status, address: next.href, body: '', headers: response.headers };
    return this.go(next.href);
  }

  private keep(text: string): void {
    const [pair = '', ...attributes] = text.split(';').map((part) => part.trim());
    const path = attributes.find((one) => /^path=/i.test(one))?.slice(5) ?? '/';
    const name = pair.slice(0, pair.indexOf('='));
    const value = pair.slice(pair.indexOf('=') + 1);
    if (value === '' || attributes.some((one) => /^expires=Thu, 01 Jan 1970/i.test(one))) this.cookies.delete(`${name} ${path}`);
    else this.cookies.set(`${name} ${path}`, { value, path });
  }

  private cookiesFor(pathname: string): string {
    const sent = [...this.cookies].filter(([, { path }]) => path === '/' || pathname === path || pathname.startsWith(`${path}/`));
    return sent.map(([key, { value }]) => `${key.split(' ')[0]}=${value}`).join('; ');
  }
}

/** Lets an application in as a person would, and gives where their browser is sent back to. */
export async function agree(app: Pick<TestApp, 'url'>, authorizationUrl: URL, { person, project }: Pick<BuiltClient, 'person' | 'project'>, decision: 'allow' | 'refuse' = 'allow'): Promise<URL> {
  const visitor = new Visitor(app.url, person.cookie);
  const asked = await visitor.go(authorizationUrl.href);
  if (!asked.body.includes('<form')) throw new Error(`There is nothing to agree to: ${asked.status} ${asked.address} ${asked.body}`);
  const answered = await visitor.go(asked.address, { decision, projectId: project.id });
  return new URL(answered.address);
}

/** What the token endpoint, or another one that takes forms, answers. */
export interface Answer {
  status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test knows what it asked for
  body: any;
}

/** Asks an endpoint in the name of a client, as raw as can be. */
export async function ask({ url }: Pick<TestApp, 'url'>, path: string, { client, secret }: Pick<BuiltClient, 'client' | 'secret'>, form: Record<string, string>): Promise<Answer> {
  const basic: Record<string, string> = secret === null ? {} : { authorization: `Basic ${Buffer.from(`${client.id}:${secret}`).toString('base64')}` };
  const body = new URLSearchParams({ ...(secret === null && { client_id: client.id }), ...form }).toString();
  const response = await fetch(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded', ...basic }, body });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

export const VERIFIER = 'a-verifier-that-is-long-enough-0123456789-abc';
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');

/** Where a client sends a person's browser; parameters that are null are left out. */
export function authorizationUrl({ url }: Pick<TestApp, 'url'>, { client }: Pick<BuiltClient, 'client'>, parameters: Record<string, string | null> = {}): URL {
  const given = { client_id: client.id, response_type: 'code', redirect_uri: client.redirectUris[0] as string, scope: 'openid demo.echo read.keys', state: 'state', code_challenge: CHALLENGE, code_challenge_method: 'S256', ...parameters };
  const address = new URL('/oauth/authorize', url);
  for (const [name, value] of Object.entries(given)) if (value !== null) address.searchParams.set(name, value);
  return address;
}

/** A code that a person has agreed to. */
export async function codeFor(app: Pick<TestApp, 'url'>, built: BuiltClient, parameters: Record<string, string | null> = {}): Promise<string> {
  const back = await agree(app, authorizationUrl(app, built, parameters), built);
  const code = back.searchParams.get('code');
  if (code === null) throw new Error(`There is no code in ${back.href}.`);
  return code;
}

/** Redeems a code. */
export const redeem = (app: Pick<TestApp, 'url'>, built: BuiltClient, code: string, form: Record<string, string> = { code_verifier: VERIFIER }): Promise<Answer> =>
  ask(app, '/oauth/token', built, { grant_type: 'authorization_code', code, redirect_uri: built.client.redirectUris[0] as string, ...form });

export const refresh = (app: Pick<TestApp, 'url'>, built: BuiltClient, refreshToken: string): Promise<Answer> => ask(app, '/oauth/token', built, { grant_type: 'refresh_token', refresh_token: refreshToken });

/** Tokens that a person has agreed to. */
export async function tokensFor(app: Pick<TestApp, 'url'>, built: BuiltClient, parameters: Record<string, string | null> = {}): Promise<{ access: string; refresh: string; scope: string }> {
  const { status, body } = await redeem(app, built, await codeFor(app, built, parameters));
  if (status !== 200) throw new Error(`A code was not redeemed: ${status} ${JSON.stringify(body)}`);
  return { access: body.access_token, refresh: body.refresh_token, scope: body.scope };
}
