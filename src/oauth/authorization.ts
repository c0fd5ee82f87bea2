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

/** What an application asks of a person, before it is known who they are. */
export interface Asked {
  uid: string;
  client: OAuthClient;
  workspaceName: string;
  scopes: string[];
  /** Where they are sent back to, one way or the other. */
  redirectUri: string;
  /** Whom the application takes them for. */
  loginHint: string;
  /** Whether it wants them to sign in once more, or how long ago, in seconds, they may have. */
  signInAgain: boolean;
  maxAge: number | undefined;
  beganAtSeconds: number;
}

/** The same for the person that they turn out to be. */
export interface Choice {
  projects: Project[];
  /** What it would be let do, in words. */
  granted: Permission[];
  /** What it asks for besides, and this person cannot grant. */
  lacking: string[];
}

/** A request as it came in: oidc-provider reads its own cookies from it. */
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

/** Authorizations under way: what is asked, of whom, and what they say. */
export class Authorizations {
  constructor(private readonly deps: AuthorizationsDeps) {}

  /** What this browser has come to be asked. NOT_FOUND where it was answered, has expired, or began in another browser, or where the application has lost the address since. */
  async asked(uid: string, raw: Raw): Promise<Asked> {
    const { clients, database } = this.deps;
    const interaction = await this.interaction(raw);
    const { params, iat, prompt, result } = interaction;
    const client = typeof params.client_id === 'string' ? await clients.find(params.client_id) : null;
    if (!client || interaction.uid !== uid || result) throw ended();
    const asking = await (await this.deps.oauth.current()).Client.find(client.id); // oidc-provider knows which addresses are one
    if (!asking?.redirectUriAllowed(String(params.redirect_uri))) throw ended();
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

  /** Whether a person who has signed in did so recently enough for what the application asks. */
  async isRecent({ signInAgain, maxAge, beganAtSeconds }: Asked, person: UserPrincipal): Promise<boolean> {
    const at = await this.signedInAt(person);
    if (signInAgain && at < beganAtSeconds) return false;
    return maxAge === undefined || at >= Date.now() / 1000 - maxAge - 1;
  }

  /** What a person has to choose from. */
  async choice({ client, scopes }: Asked, person: UserPrincipal): Promise<Choice> {
    const { consents, permissions } = this.deps;
    const words = new Map((await permissions()).map(({ name, description }) => [name, inPlainWords(description)]));
    const known = scopes.filter((scope) => words.has(scope) || isIdentityScope(scope));
    const granted = consents.grantable(person, client, known);
    return {
      projects: await consents.projectsFor(person, client),
      granted: granted.map((name) => ({ name, description: isIdentityScope(name) ? IDENTITY_WORDS[name] : (words.get(name) ?? name) })),
      lacking: known.filter((scope) => !granted.includes(scope)),
    };
  }

  /** The person agrees, to what they were shown and to nothing else that was asked for. Where their browser is to go on. */
  async allow(asked: Asked, person: UserPrincipal, projectId: string, raw: Raw): Promise<string> {
    const { granted } = await this.choice(asked, person);
    const scopes = new Set(['openid', ...granted.map(({ name }) => name)]);
    const { id } = await this.deps.consents.give(person, { clientId: asked.client.id, projectId, scopes: [...scopes] }, raw.whence);
    const login = { accountId: person.id, remember: false, ts: await this.signedInAt(person) };
    return this.finish(raw, { login, consent: { grantId: id } });
  }

  /** The person refuses. Where their browser is to go on. */
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

  /** In seconds of this process's clock, as oidc-provider counts. */
  private async signedInAt({ sessionId }: UserPrincipal): Promise<number> {
    const { database } = this.deps;
    const { createdAt } = await database.lookups.findOneByOrFail(Session, { id: sessionId });
    return Math.floor((createdAt.getTime() + Date.now() - (await database.now()).getTime()) / 1000);
  }
}

/** Without the word that tells permissions of administration from those of actions. */
const inPlainWords = (description: string): string => description.replace(/^Administration: (.)/, (_whole, first: string) => first.toUpperCase());

const ended = (): TollgateError =>
  new TollgateError('NOT_FOUND', 'This was answered, took too long, began in another browser, or leads to an address that the application has no more. Go back to the application and start again.');
