import type { IncomingHttpHeaders } from 'node:http';
import type { ObjectLiteral } from 'typeorm';
import { secretFrom } from '../access/credential';
import type { MutationClaim } from '../access/idempotency';
import type { AdministrativePermission } from '../access/permissions';
import { knownWorkspaces, mayKnowWorkspace, mayOperate, requireAdministered, requireOperator, requirePermission } from '../access/policies';
import { whenceOf, type Whence } from '../access/people/person.events';
import type { Authority } from '../access/authority';
import type { Principal, UserPrincipal } from '../access/principal';
import { isFromHere, type Held, type Kept, type TrustedOrigins } from '../access/sessions/cookie';
import type { SignedIn } from '../access/sessions/session.service';
import type { Database } from '../db/database';
import type { PageRequest } from '../db/keyset';
import type { List } from '../db/list';
import { TollgateError, invalid } from '../errors';
import type { Principals } from '../gate/principals';
import type { Feed } from '../lib/feed';
import type { Connection } from '../lib/graphql-types';
import { Workspace } from '../tenancy/workspace.entity';
import { toGraphQLError, translated } from './errors';
import { Loaders, by, type Batch } from './loaders';
import { Work, payerOf, type Execution } from './work';

export { by, type Batch };

/** What a subscription gives whoever asks. */
export interface Subscribed<T> {
  /** Throws where whoever asks may not have it: asked before anything is sent, and again and again while it is open. */
  allow(ctx: GraphQLContext): Promise<void>;
  /** Where it begins. */
  open(database: Database): Promise<Feed<T>>;
}

/** The stream that a request has opened. */
export interface OpenStream {
  send<T>(feed: Feed<T>, allow: Subscribed<T>['allow']): AsyncIterable<T>;
}

/** What every resolver is handed: who asks, from where, and the look-ups of this request. */
export class GraphQLContext {
  /** What all operations of this request have asked for and come to: one object for all contexts of a batch. */
  readonly work: Work;
  /** The execution of its operation, once that has begun. */
  execution: Execution | undefined;
  private readonly loaders: Loaders;
  private time: Promise<Date> | undefined;
  /** Whether this request has had a mutation, which may have changed what whoever asks may do. */
  private hasMutated = false;
  private readonly cookies: Held;
  /** The right to run the request's mutation, where it came with an Idempotency-Key. */
  claim: MutationClaim | undefined;

  constructor(
    private readonly database: Database,
    private identity: Principal | null,
    /** Where the request came from, whoever sent it. */
    readonly whence: Whence,
    private readonly browser: Browser,
    private readonly stream?: OpenStream,
  ) {
    this.work = new Work(payerOf(identity, whence.ip));
    this.loaders = new Loaders(database.reader, this.work);
    this.cookies = { ...browser.held };
  }

  /** The same asker at a later time, for what stays open: with look-ups and a time of its own. */
  later(stream = this.stream, identity = this.identity): GraphQLContext {
    return new GraphQLContext(this.database, identity, this.whence, this.browser, stream);
  }

  /** What a subscription sends. INVALID_REQUEST where the request opened no stream. */
  async subscribe<T>({ allow, open }: Subscribed<T>): Promise<AsyncIterable<T>> {
    if (!this.stream) throw invalid({ path: [], message: NO_STREAM });
    await allow(this);
    return this.stream.send(await open(this.database), allow);
  }

  /** Whoever asks; null where no credential came, or a cookie whose session has ended. */
  get principal(): Principal | null {
    return this.identity;
  }

  /** Whether no page of another site can have made a browser send this. */
  get isFromHere(): boolean {
    return this.browser.isFromHere;
  }

  /** Whoever asks. UNAUTHENTICATED where no credential came. */
  get caller(): Principal {
    if (!this.principal) throw new TollgateError('MISSING_API_KEY');
    return this.principal;
  }

  /** Who acts and from where, for what anybody may do who has come so far. */
  get origin(): Authority {
    const actor = this.caller;
    return { actor, ...this.whence, claim: this.claim, current: (tx) => this.browser.principals.current(tx, actor) };
  }

  /** The same for what only the operator may do; FORBIDDEN for others. */
  get operatorOrigin(): Authority {
    requireOperator(this.caller);
    return this.origin;
  }

  /** A person who asks; FORBIDDEN for other principals. */
  get person(): UserPrincipal {
    if (this.caller.kind !== 'USER') throw new TollgateError('FORBIDDEN', 'This is for people who have signed in.');
    return this.caller;
  }

  /** The same for what only a person may do; FORBIDDEN for others. */
  get personOrigin(): Authority {
    return { ...this.origin, actor: this.person };
  }

  /** What the browser keeps by now: its session, alive or not, and its device cookie. */
  get held(): Held {
    return this.cookies;
  }

  /** Whoever has just signed in, or whose session it is already, asks from now on with what they may do now; the browser keeps it. */
  async signedIn({ token = this.cookies.session, device }: Partial<SignedIn> = {}): Promise<UserPrincipal> {
    const principal = token === undefined ? null : await this.browser.principals.bySession(token);
    if (!token || !principal) throw new TollgateError('SIGN_IN_FAILED'); // ended by somebody else in this moment
    this.keep({ session: token, ...(device !== undefined && { device }) });
    this.identity = principal;
    return principal;
  }

  /** The browser keeps the proof that its owner was there. */
  keepDevice(device: string): void {
    this.keep({ device });
  }

  /** The browser forgets the session that it has, and what is left of the request is nobody's. */
  signedOut(): void {
    this.keep({ session: null });
    this.identity = null;
  }

  private keep(kept: Kept): void {
    this.browser.keep(kept);
    if (kept.session !== undefined) this.cookies.session = kept.session ?? undefined;
    if (kept.device !== undefined) this.cookies.device = kept.device;
  }

  /** FORBIDDEN for anyone but the operator: for what is shown to nobody else. */
  requireOperator(): void {
    requireOperator(this.caller);
  }

  /** Whether what concerns the whole installation exists for whoever asks. */
  get knowsInstallation(): boolean {
    return mayOperate(this.caller);
  }

  /** One time for all that this request says of things that end by the clock. */
  now(): Promise<Date> {
    return (this.time ??= this.database.now());
  }

  load<V>(batch: Batch<V>, id: string): Promise<V | null> {
    return this.loaders.load(batch, id);
  }

  /** A page of a list, read together with the same page of other lists of its kind. */
  page<T extends ObjectLiteral, S, A>(list: List<T, S, A>, scope: S, args: A, page: PageRequest): Promise<Connection<T>> {
    return this.loaders.page(list, scope, args, page);
  }

  /** An object that must be there, for another one names it. */
  async need<V>(batch: Batch<V>, id: string): Promise<V> {
    const found = await this.load(batch, id);
    if (!found) throw new Error(`${id} is named and not there.`);
    return found;
  }

  /** Whether the workspace exists, as far as whoever asks may know. */
  knows(workspaceId: string): boolean {
    return mayKnowWorkspace(this.caller, workspaceId);
  }

  /** The workspaces that exist for whoever asks; undefined where all do. */
  get knownWorkspaces(): string[] | undefined {
    return knownWorkspaces(this.caller);
  }

  /** FORBIDDEN where whoever asks lacks a permission in a workspace that it knows of: for a field of what it was shown. */
  require(permission: AdministrativePermission, { workspaceId }: { workspaceId: string }): void {
    requirePermission(this.caller, permission, workspaceId);
  }

  /** NOT_FOUND where a workspace is not there or whoever asks may not know of it, FORBIDDEN where it lacks the permission: for what is asked of a workspace by its id. */
  async requireIn(permission: AdministrativePermission, workspaceId: string): Promise<void> {
    requireAdministered(this.caller, (await this.load(by(Workspace), workspaceId)) && { workspaceId }, permission);
  }

  /** An object of a workspace, or null where whoever asks may not know of it; FORBIDDEN where it knows the workspace and lacks the permission. */
  async seen<V extends { workspaceId: string }>(batch: Batch<V>, id: string, permission?: AdministrativePermission): Promise<V | null> {
    const found = await this.load(batch, id);
    if (!found || !this.knows(found.workspaceId)) return null;
    if (permission) this.require(permission, found);
    return found;
  }

  /** Who acts, for a change of a workspace; NOT_FOUND where it may not know of it, FORBIDDEN where it lacks the permission. */
  async originIn(workspaceId: string, permission: AdministrativePermission): Promise<Authority> {
    requireAdministered(this.caller, { workspaceId }, permission);
    return this.originAt(workspaceId);
  }

  /** The same, for a change of an object of a workspace. */
  async originFor<V extends { workspaceId: string }>(batch: Batch<V>, id: string, permission: AdministrativePermission): Promise<Authority> {
    return this.originAt(requireAdministered(this.caller, await this.load(batch, id), permission).workspaceId);
  }

  private originAt(workspaceId: string): Authority {
    if (this.claim) this.claim.workspaceId = workspaceId;
    return this.origin;
  }

  /** Before each mutation of a request: a document may have many, and one of them may have ended the right to the next. */
  async beginMutation(): Promise<void> {
    if (this.hasMutated && this.identity) this.identity = await this.browser.principals.current(this.database.reader, this.identity);
    this.hasMutated = true;
  }
}

/** What a subscription is told that came as a plain request. */
export const NO_STREAM = 'A subscription wants a stream: a WebSocket at /graphql, or /graphql/stream.';

/** What a request is told that a page of another site made a browser send. */
export const FROM_ELSEWHERE = 'This came from a page of another site.';

/** What a request tells of whoever sent it. */
export interface ContextSource {
  headers: IncomingHttpHeaders;
  /** The same as they came, repeated ones too: names and values in turn. */
  rawHeaders: readonly string[];
  address: string | null;
  /** What its browser keeps in our cookies. */
  held: Held;
  /** Sets these cookies. */
  keep(kept: Kept): void;
}

/** The browser that a request came from, where one did. */
interface Browser {
  held: Held;
  isFromHere: boolean;
  keep: ContextSource['keep'];
  principals: ContextDeps['principals'];
}

export interface ContextDeps {
  principals: Pick<Principals, 'bySecret' | 'bySession' | 'bySessionId' | 'current'>;
  database: Database;
  trustedOrigins: TrustedOrigins;
}

/**
 * The context of a request: anonymous where it brings no credential, or a session that has ended; UNAUTHENTICATED for a wrong one, whatever
 * is asked. A credential in a header wins over a cookie, and a cookie that a page of another site made a browser send is FORBIDDEN.
 */
export async function contextOf({ held, keep, ...request }: ContextSource, { principals, database, trustedOrigins }: ContextDeps): Promise<GraphQLContext> {
  try {
    const { headers } = request;
    const whence = whenceOf(request);
    const secret = secretFrom(request.rawHeaders);
    const fromHere = secret !== undefined || isFromHere(headers, trustedOrigins);
    const principal = secret !== undefined ? await principals.bySecret(secret, whence.ip) : held.session === undefined ? null : await personOf(principals, held.session, fromHere, keep);
    return new GraphQLContext(database, principal, whence, { held: fromHere ? held : { ...held, device: undefined }, isFromHere: fromHere, keep, principals });
  } catch (error) {
    throw translated(error);
  }
}

/** The same, where somebody has to ask: UNAUTHENTICATED for nobody. */
export async function contextOfSomebody(source: ContextSource, deps: ContextDeps): Promise<GraphQLContext> {
  const context = await contextOf(source, deps);
  if (!context.principal) throw toGraphQLError(new TollgateError('MISSING_API_KEY'));
  return context;
}

/** Who asked before, as they stand now. A session is not used by what stays open: it ends in its time. UNAUTHENTICATED where it, or a secret, has ended. */
export async function contextAgain(context: GraphQLContext, source: ContextSource, deps: ContextDeps): Promise<GraphQLContext> {
  const { principal } = context;
  if (principal?.kind !== 'USER') return contextOf(source, deps);
  const person = await deps.principals.bySessionId(deps.database.reader, principal.sessionId);
  if (!person) throw toGraphQLError(new TollgateError('MISSING_API_KEY'));
  return context.later(undefined, person);
}

async function personOf(principals: ContextDeps['principals'], token: string, fromHere: boolean, keep: ContextSource['keep']): Promise<UserPrincipal | null> {
  if (!fromHere) throw new TollgateError('FORBIDDEN', FROM_ELSEWHERE);
  const person = await principals.bySession(token);
  if (!person) keep({ session: null });
  return person;
}
