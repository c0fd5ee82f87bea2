import './node-20';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errors, type InteractionResults } from 'oidc-provider';
import type { Whence } from '../access/people/person.events';
import { isIdentityScope, type Permission } from '../access/permissions';
import type { UserPrincipal } from '../access/principal';
import { Session } from '../access/sessions/session.entity';
import type { Database } from '../db/database';
import { TollgateError } from '../errors';
import type { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import type { ClientService } from './client.service';
import type { OAuthClient } from './client.entity';
import type { ConsentService } from './consent.service';
import type { OAuthProvider } from './provider';
import { IDENTITY_WORDS, scopesIn } from './scopes';

/** The request of an application, before the person is known. */
export interface Asked {
  uid: string;
  client: OAuthClient;
  workspaceName: string;
  scopes: string[];
  /** The browser goes back there, whether the person agrees or refuses. */
  redirectUri: string;
  /** E-mail address that the application expects, or an empty string. */
  loginHint: string;
  /** Whether the person has to sign in again for this request. */
  signInAgain: boolean;
  /** Greatest age of the sign-in in seconds, or undefined for any. */
  maxAge: number | undefined;
  beganAtSeconds: number;
}

/** The request of an application, compared with the rights of the person who has signed in. */
export interface Choice {
  projects: Project[];
  /** Requested scopes that the person may grant, with descriptions. */
  granted: Permission[];
  /** Requested scopes that the person may not grant. */
  lacking: string[];
}

/** The raw request and response of a page. oidc-provider reads its own cookies from them. */
export interface Raw {
  request: IncomingMessage;
  response: ServerResponse;
  whence: Whence;
}

export interface AuthorizationsDeps {
  database: Database;
  oauth: OAuthProvider;
  clients: ClientService;
  consents: ConsentService;
  permissions(): Promise<Permission[]>;
}

/** Pending authorizations: reads the request of an application, and finishes it with the answer of the person. */
export class Authorizations {
  constructor(private readonly deps: AuthorizationsDeps) {}

  /**
   * Returns the pending request of this browser. Throws NOT_FOUND if it was answered, has expired, or began in another browser, or if the
   * application no longer has its redirect address.
   */
  async asked(uid: string, raw: Raw): Promise<Asked> {
    const { clients, database } = this.deps;
    const interaction = await this.interaction(raw);
    const { params, iat, prompt, result } = interaction;
    const client = typeof params.client_id === 'string' ? await clients.find(params.client_id) : null;
    if (!client || interaction.uid !== uid || result) throw ended();
    const providerClient = await (await this.deps.oauth.current()).Client.find(client.id); // it ignores the port of loopback addresses
    if (!providerClient?.redirectUriAllowed(String(params.redirect_uri))) throw ended();
    const { name: workspaceName } = await database.lookups.findOneByOrFail(Workspace, { id: client.workspaceId });
    return {
      uid,
      client,
      workspaceName,
      scopes: scopesIn(params.scope).filter((scope) => scope !== 'openid' || scopesIn(params.scope).length === 1),
      redirectUri: String(params.redirect_uri),
      loginHint: typeof params.login_hint === 'string' ? params.login_hint : '',
      signInAgain: prompt.reasons.includes('login_prompt'),
      maxAge: params.max_age === undefined ? undefined : Number(params.max_age),
      beganAtSeconds: iat,
    };
  }

  /** Whether the person signed in recently enough for this request. */
  async isRecent({ signInAgain, maxAge, beganAtSeconds }: Asked, person: UserPrincipal): Promise<boolean> {
    const at = await this.signedInAt(person);
    if (signInAgain && at < beganAtSeconds) return false;
    return maxAge === undefined || at >= Date.now() / 1000 - maxAge - 1;
  }

  /** Returns the projects and scopes that a person can grant for this request. */
  async choice({ client, scopes }: Asked, person: UserPrincipal): Promise<Choice> {
    const { consents, permissions } = this.deps;
    const descriptions = new Map((await permissions()).map(({ name, description }) => [name, withoutPrefix(description)]));
    const known = scopes.filter((scope) => descriptions.has(scope) || isIdentityScope(scope));
    const granted = consents.grantable(person, client, known);
    const descriptionOf = (name: string) => (isIdentityScope(name) ? IDENTITY_WORDS[name] : (descriptions.get(name) ?? name));
    return {
      projects: await consents.projectsFor(person, client),
      granted: granted.map((name) => ({ name, description: descriptionOf(name) })),
      lacking: known.filter((scope) => !granted.includes(scope)),
    };
  }

  /** Records the consent of the person, only to the scopes that the page showed. Returns the URL that the browser goes to next. */
  async allow(asked: Asked, person: UserPrincipal, projectId: string, raw: Raw): Promise<string> {
    const { granted } = await this.choice(asked, person);
    const scopes = new Set(['openid', ...granted.map(({ name }) => name)]);
    const { id } = await this.deps.consents.give(person, { clientId: asked.client.id, projectId, scopes: [...scopes] }, raw.whence);
    const login = { accountId: person.id, remember: false, ts: await this.signedInAt(person) };
    return this.finish(raw, { login, consent: { grantId: id } });
  }

  /** Records that the person refused. Returns the URL that the browser goes to next. */
  refuse(raw: Raw): Promise<string> {
    return this.finish(raw, { error: 'access_denied', error_description: 'the person refused' });
  }

  private async interaction({ request, response, whence }: Raw) {
    const provider = await this.deps.oauth.current();
    this.deps.oauth.receive(request, whence);
    try {
      return await provider.interactionDetails(request, response);
    } catch (error) {
      throw error instanceof errors.SessionNotFound ? ended() : error;
    }
  }

  private async finish({ request, response }: Raw, result: InteractionResults): Promise<string> {
    const provider = await this.deps.oauth.current();
    return provider.interactionResult(request, response, result, { mergeWithLastSubmission: false });
  }

  /** Returns the time of the sign-in in seconds, by the clock of this process, which oidc-provider uses. */
  private async signedInAt({ sessionId }: UserPrincipal): Promise<number> {
    const { database } = this.deps;
    const { createdAt } = await database.lookups.findOneByOrFail(Session, { id: sessionId });
    return Math.floor((createdAt.getTime() + Date.now() - (await database.now()).getTime()) / 1000);
  }
}

/** Removes the prefix "Administration: ", which distinguishes administrative permissions in lists. */
function withoutPrefix(description: string): string {
  return description.replace(/^Administration: (.)/, (_whole, first: string) => first.toUpperCase());
}

const ENDED =
  'This request was already answered, has expired, began in another browser, or its redirect address was removed. ' +
  'Go back to the application and start again.';

const ended = (): TollgateError => new TollgateError('NOT_FOUND', ENDED);
