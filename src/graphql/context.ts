import type { IncomingHttpHeaders } from 'node:http';
import { secretFrom } from '../access/credential';
import type { AdministrativePermission } from '../access/permissions';
import { knownWorkspaces, mayKnowWorkspace, mayOperate, requireAdministered, requireOperator, requirePermission } from '../access/policies';
import type { Authority, Principal } from '../access/principal';
import type { Database } from '../db/database';
import { TollgateError } from '../errors';
import type { Gate } from '../gate/gate';
import { plainAddress } from '../lib/cidr';
import { toGraphQLError } from './errors';
import { Loaders, by, type Batch } from './loaders';

export { by, type Batch };

/** What every resolver is handed: who asks, from where, and the look-ups of this request. */
export class GraphQLContext {
  private readonly loaders: Loaders;
  private time: Promise<Date> | undefined;

  constructor(
    private readonly database: Database,
    readonly principal: Principal | null,
    private readonly from: { ip: string | null; userAgent: string | null },
  ) {
    this.loaders = new Loaders(database.reader);
  }

  /** Whoever asks. UNAUTHENTICATED where no credential came. */
  get caller(): Principal {
    if (!this.principal) throw new TollgateError('MISSING_API_KEY');
    return this.principal;
  }

  /** Who acts and from where, for what anybody may do who has come so far. */
  get origin(): Authority {
    return { actor: this.caller, ...this.from };
  }

  /** The same for what only the operator may do; FORBIDDEN for others. */
  get operatorOrigin(): Authority {
    requireOperator(this.caller);
    return this.origin;
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

  /** An object of a workspace, or null where whoever asks may not know of it; FORBIDDEN where it knows the workspace and lacks the permission. */
  async seen<V extends { workspaceId: string }>(batch: Batch<V>, id: string, permission?: AdministrativePermission): Promise<V | null> {
    const found = await this.load(batch, id);
    if (!found || !this.knows(found.workspaceId)) return null;
    if (permission) this.require(permission, found);
    return found;
  }

  /** Who acts, for a change of a workspace; NOT_FOUND where it may not know of it, FORBIDDEN where it lacks the permission. */
  originIn(workspaceId: string, permission: AdministrativePermission): Authority {
    requireAdministered(this.caller, { workspaceId }, permission);
    return this.origin;
  }

  /** The same, for a change of an object of a workspace. */
  async originFor<V extends { workspaceId: string }>(batch: Batch<V>, id: string, permission: AdministrativePermission): Promise<Authority> {
    requireAdministered(this.caller, await this.load(batch, id), permission);
    return this.origin;
  }
}

const MAX_USER_AGENT_LENGTH = 255;

/** What a request tells of whoever sent it. */
export interface ContextSource {
  headers: IncomingHttpHeaders;
  ip: string;
}

/** The context of a request: anonymous where it brings no credential, UNAUTHENTICATED for a wrong one, whatever is asked. */
export async function contextOf({ headers, ip: peer }: ContextSource, { gate, database }: { gate: Gate; database: Database }): Promise<GraphQLContext> {
  try {
    const ip = plainAddress(peer);
    const secret = secretFrom(headers);
    const identity = secret === undefined ? undefined : await gate.identify(secret, ip);
    if (identity?.kind === 'refused') throw new TollgateError(identity.code);
    const userAgent = headers['user-agent']?.slice(0, MAX_USER_AGENT_LENGTH) ?? null;
    return new GraphQLContext(database, identity?.principal ?? null, { ip, userAgent });
  } catch (error) {
    throw error instanceof TollgateError ? toGraphQLError(error) : error;
  }
}
