import type { IncomingHttpHeaders } from 'node:http';
import type { ObjectLiteral } from 'typeorm';
import { secretFrom } from '../access/credential';
import type { MutationClaim } from '../access/idempotency';
import type { AdministrativePermission } from '../access/permissions';
import {
  knownWorkspaces,
  mayKnowWorkspace,
  mayOperate,
  requireAdministered,
  requireOperator,
  requirePermission,
} from '../access/policies';
import { whenceOf, type Whence } from '../access/people/person.events';
import type { Authority } from '../access/authority';
import type { Authentication, Principal, UserPrincipal } from '../access/principal';
import { isFromHere, type Held, type Kept, type TrustedOrigins } from '../access/sessions/cookie';
import type { SignedIn } from '../access/sessions/session.service';
import type { Database } from '../db/database';
import type { PageRequest } from '../db/keyset';
import type { List } from '../db/list';
import { TollgateError, invalid } from '../errors';
import type { Feed } from '../lib/feed';
import type { Connection } from '../lib/graphql-types';
import { Workspace } from '../tenancy/workspace.entity';
import { toGraphQLError, translated } from './errors';
import { Loaders, by, type Batch } from './loaders';
import { Work, payerOf, type Execution } from './work';

export { by, type Batch };

/** What a subscription sends, and its permission check. */
export interface Subscribed<T> {
  /** Throws if the caller may not read the subscription. Called before the first event and repeatedly while the stream is open. */
  allow(ctx: GraphQLContext): Promise<void>;
  /** Opens the feed at its start: a cursor, or now. */
  open(database: Database): Promise<Feed<T>>;
}

/** The open stream of a subscription request. */
export interface OpenStream {
  send<T>(feed: Feed<T>, allow: Subscribed<T>['allow']): AsyncIterable<T>;
}

/** The context of every resolver: the caller, its origin, and the loaders of this request. */
export class GraphQLContext {
  /** Counts the work of all operations of this request. All contexts of a batch share this object. */
  readonly work: Work;
  /** The execution of this operation. Undefined until it has been priced. */
  execution: Execution | undefined;
  private readonly loaders: Loaders;
  private time: Promise<Date> | undefined;
  /** True after the first mutation of this request: it may have changed the permissions of the caller. */
  private hasMutated = false;
  private readonly cookies: Held;
  /** The claim on the Idempotency-Key of this request's mutation, if it has one. */
  claim: MutationClaim | undefined;

  constructor(
    private readonly database: Database,
    private identity: Principal | null,
    /** Where the request came from: its address and user agent. */
    readonly whence: Whence,
    private readonly browser: Browser,
    private readonly stream?: OpenStream,
  ) {
    this.work = new Work(payerOf(identity, whence.ip));
    this.loaders = new Loaders(database.reader, this.work);
    this.cookies = { ...browser.held };
  }

  /** Returns a new context of the same caller, with new loaders and a new time. Used by streams and connections, which stay open. */
  later(stream = this.stream, identity = this.identity): GraphQLContext {
    return new GraphQLContext(this.database, identity, this.whence, this.browser, stream);
  }

  /** Returns the events of a subscription. Throws INVALID_REQUEST if the request opened no stream. */
  async subscribe<T>({ allow, open }: Subscribed<T>): Promise<AsyncIterable<T>> {
    if (!this.stream) throw invalid({ path: [], message: NO_STREAM });
    await allow(this);
    return this.stream.send(await open(this.database), allow);
  }

  /** The caller. Null if the request has no credential, or a cookie of a session that has ended. */
  get principal(): Principal | null {
    return this.identity;
  }

  /** True if no page of another site can have made a browser send this request. */
  get isFromHere(): boolean {
    return this.browser.isFromHere;
  }

  /** The caller. Throws UNAUTHENTICATED if the request has no valid credential. */
  get caller(): Principal {
    if (!this.principal) throw new TollgateError('MISSING_API_KEY');
    return this.principal;
  }

  /** The acting caller and its origin. Checks no permission. */
  get origin(): Authority {
    const actor = this.caller;
    return { actor, ...this.whence, claim: this.claim, current: (tx) => this.browser.authenticator.current(tx, actor) };
  }

  /** Like `origin`. Throws FORBIDDEN if the caller is not the operator. */
  get operatorOrigin(): Authority {
    requireOperator(this.caller);
    return this.origin;
  }

  /** The caller, if it is a person. Throws FORBIDDEN for other principals. */
  get person(): UserPrincipal {
    if (this.caller.kind !== 'USER') throw new TollgateError('FORBIDDEN', 'Only a person can do this. Sign in, and send no API key.');
    return this.caller;
  }

  /** Like `origin`. Throws FORBIDDEN if the caller is not a person. */
  get personOrigin(): Authority {
    return { ...this.origin, actor: this.person };
  }

  /** The current cookies of the browser: its session, valid or ended, and its device. */
  get held(): Held {
    return this.cookies;
  }

  /**
   * Reads the person of a new session, or of the current one, and makes this person the caller. The browser stores the session.
   * Throws SIGN_IN_FAILED if the session has ended.
   */
  async signedIn({ token = this.cookies.session, device }: Partial<SignedIn> = {}): Promise<UserPrincipal> {
    const principal = token === undefined ? null : await this.browser.authenticator.bySession(token);
    if (!token || !principal) throw new TollgateError('SIGN_IN_FAILED'); // another request has just ended it
    this.keep({ session: token, ...(device !== undefined && { device }) });
    this.identity = principal;
    return principal;
  }

  /** Stores the device cookie, which proves that a person has signed in from this browser before. */
  keepDevice(device: string): void {
    this.keep({ device });
  }

  /** Deletes the session cookie. The rest of the request is anonymous. */
  signedOut(): void {
    this.keep({ session: null });
    this.identity = null;
  }

  private keep(kept: Kept): void {
    this.browser.keep(kept);
    if (kept.session !== undefined) this.cookies.session = kept.session ?? undefined;
    if (kept.device !== undefined) this.cookies.device = kept.device;
  }

  /** Throws FORBIDDEN if the caller is not the operator. */
  requireOperator(): void {
    requireOperator(this.caller);
  }

  /** True if the caller may see objects of the whole installation, which belong to no workspace. */
  get knowsInstallation(): boolean {
    return mayOperate(this.caller);
  }

  /** The time of the database, read once, so that all expiry checks of this request agree. */
  now(): Promise<Date> {
    return (this.time ??= this.database.now());
  }

  load<V>(batch: Batch<V>, id: string): Promise<V | null> {
    return this.loaders.load(batch, id);
  }

  /** Reads a page of a list. Batches it with the same page of other lists of this kind. */
  page<T extends ObjectLiteral, S, A>(list: List<T, S, A>, scope: S, args: A, page: PageRequest): Promise<Connection<T>> {
    return this.loaders.page(list, scope, args, page);
  }

  /** Loads an object that must exist, because another object refers to it. */
  async need<V>(batch: Batch<V>, id: string): Promise<V> {
    const found = await this.load(batch, id);
    if (!found) throw new Error(`${id} does not exist, although another object refers to it.`);
    return found;
  }

  /** True if the caller may know that the workspace exists. */
  knows(workspaceId: string): boolean {
    return mayKnowWorkspace(this.caller, workspaceId);
  }

  /** The workspaces that the caller may see. Undefined if it may see all. */
  get knownWorkspaces(): string[] | undefined {
    return knownWorkspaces(this.caller);
  }

  /** Throws FORBIDDEN if the caller lacks a permission in a workspace that it may see. Used by fields of visible objects. */
  require(permission: AdministrativePermission, { workspaceId }: { workspaceId: string }): void {
    requirePermission(this.caller, permission, workspaceId);
  }

  /**
   * Checks a permission in a workspace that the request names by its id. Throws NOT_FOUND if the workspace does not exist or the caller may
   * not see it. Throws FORBIDDEN if the caller lacks the permission.
   */
  async requireIn(permission: AdministrativePermission, workspaceId: string): Promise<void> {
    requireAdministered(this.caller, (await this.load(by(Workspace), workspaceId)) && { workspaceId }, permission);
  }

  /**
   * Loads an object of a workspace. Returns null if it does not exist or the caller may not know of it.
   * Throws FORBIDDEN if the caller knows the workspace but lacks the permission.
   */
  async seen<V extends { workspaceId: string }>(batch: Batch<V>, id: string, permission?: AdministrativePermission): Promise<V | null> {
    const found = await this.load(batch, id);
    if (!found || !this.knows(found.workspaceId)) return null;
    if (permission) this.require(permission, found);
    return found;
  }

  /**
   * The authority for a change of a workspace. Throws NOT_FOUND if the caller may not see the workspace, and FORBIDDEN if it lacks the
   * permission.
   */
  async originIn(workspaceId: string, permission: AdministrativePermission): Promise<Authority> {
    requireAdministered(this.caller, { workspaceId }, permission);
    return this.originAt(workspaceId);
  }

  /** Does the same as `originIn` for a change of an object of a workspace. */
  async originFor<V extends { workspaceId: string }>(
    batch: Batch<V>,
    id: string,
    permission: AdministrativePermission,
  ): Promise<Authority> {
    return this.originAt(requireAdministered(this.caller, await this.load(batch, id), permission).workspaceId);
  }

  private originAt(workspaceId: string): Authority {
    if (this.claim) this.claim.workspaceId = workspaceId;
    return this.origin;
  }

  /** Runs before each mutation. Reads the caller again from the second one on: an earlier mutation may have revoked its rights. */
  async beginMutation(): Promise<void> {
    if (this.hasMutated && this.identity) this.identity = await this.browser.authenticator.current(this.database.reader, this.identity);
    this.hasMutated = true;
  }
}

/** Refuses a subscription that was sent as a plain request. */
export const NO_STREAM = 'A subscription needs a stream. Open a WebSocket at /graphql, or use /graphql/stream.';

/** Refuses a request that a page of another site made a browser send. */
export const FROM_ELSEWHERE =
  'This request came from a page of another site. Send it from a page of this server or of an origin in CORS_ORIGINS.';

/** The parts of a request that identify its sender. */
export interface ContextSource {
  headers: IncomingHttpHeaders;
  /** The raw headers: a list of names and values. A repeated header is there several times. */
  rawHeaders: readonly string[];
  address: string | null;
  /** The cookies of this server that the browser sent. */
  held: Held;
  /** Sets cookies in the answer. */
  keep(kept: Kept): void;
}

/** The browser that sent the request, if a browser did. */
interface Browser {
  held: Held;
  isFromHere: boolean;
  keep: ContextSource['keep'];
  authenticator: ContextDeps['authenticator'];
}

export interface ContextDeps {
  authenticator: Authentication;
  database: Database;
  trustedOrigins: TrustedOrigins;
}

/**
 * Authenticates a request and builds its context. The context is anonymous if the request has no credential, or a session that has ended.
 * Throws UNAUTHENTICATED for a wrong credential, even if the operation is public. A credential in a header takes precedence over a cookie.
 * Throws FORBIDDEN if a page of another site made the browser send the session cookie.
 */
export async function contextOf(
  { held, keep, ...request }: ContextSource,
  { authenticator, database, trustedOrigins }: ContextDeps,
): Promise<GraphQLContext> {
  try {
    const { headers } = request;
    const whence = whenceOf(request);
    const secret = secretFrom(request.rawHeaders);
    const fromHere = secret !== undefined || isFromHere(headers, trustedOrigins);
    let principal: Principal | null = null;
    if (secret !== undefined) principal = await authenticator.bySecret(secret, whence.ip);
    else if (held.session !== undefined) principal = await personOf(authenticator, held.session, fromHere, keep);
    const trusted = fromHere ? held : { ...held, device: undefined };
    return new GraphQLContext(database, principal, whence, { held: trusted, isFromHere: fromHere, keep, authenticator });
  } catch (error) {
    throw translated(error);
  }
}

/** Like `contextOf`. Throws UNAUTHENTICATED if the request has no valid credential. */
export async function contextOfSomebody(source: ContextSource, deps: ContextDeps): Promise<GraphQLContext> {
  const context = await contextOf(source, deps);
  if (!context.principal) throw toGraphQLError(new TollgateError('MISSING_API_KEY'));
  return context;
}

/**
 * Authenticates the caller of an open stream again, and returns a context with its current permissions. Does not extend a session: an
 * open stream does not count as its use. Throws UNAUTHENTICATED if the session or secret has ended.
 */
export async function contextAgain(context: GraphQLContext, source: ContextSource, deps: ContextDeps): Promise<GraphQLContext> {
  const { principal } = context;
  if (principal?.kind !== 'USER') return contextOf(source, deps);
  const person = await deps.authenticator.bySessionId(deps.database.reader, principal.sessionId);
  if (!person) throw toGraphQLError(new TollgateError('MISSING_API_KEY'));
  return context.later(undefined, person);
}

async function personOf(
  authenticator: ContextDeps['authenticator'],
  token: string,
  fromHere: boolean,
  keep: ContextSource['keep'],
): Promise<UserPrincipal | null> {
  if (!fromHere) throw new TollgateError('FORBIDDEN', FROM_ELSEWHERE);
  const person = await authenticator.bySession(token);
  if (!person) keep({ session: null });
  return person;
}
