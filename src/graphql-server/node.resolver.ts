import { Arg, Ctx, ID, Query, Resolver } from 'type-graphql';
import { Role, builtInRole } from '../access/roles/role.entity';
import { Action } from '../actions/action.entity';
import { AuditEvent } from '../audit/event.entity';
import { invalid } from '../errors';
import { ApiKey } from '../keys/key.entity';
import { MaxItems, Node } from '../lib/graphql-types';
import { RequestLog } from '../requests/request-log.entity';
import { Route } from '../routes/route.entity';
import { ServiceAccount } from '../service-accounts/service-account.entity';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { entriesById, workspacesOf } from '../wallet/ledger.queries';
import { Wallet } from '../wallet/wallet.entity';
import { GraphQLContext, by } from '../graphql/context';

type Find = (id: string, ctx: GraphQLContext) => Promise<Node | null>;

const FIND: Record<string, Find> = {
  ws: (id, ctx) => (ctx.knows(id) ? ctx.load(by(Workspace), id) : Promise.resolve(null)),
  prj: (id, ctx) => ctx.seen(by(Project), id),
  key: (id, ctx) => ctx.seen(by(ApiKey), id, 'read.keys'),
  svc: (id, ctx) => ctx.seen(by(ServiceAccount), id, 'read.keys'),
  wal: (id, ctx) => ctx.seen(by(Wallet), id, 'read.wallet'),
  log: (id, ctx) => ctx.seen(by(RequestLog), id, 'read.logs'),
  rol: async (id, ctx) => {
    const role = builtInRole(id) ?? (await ctx.load(by(Role), id));
    if (!role || role.workspaceId === null) return role;
    const { workspaceId } = role;
    if (!ctx.knows(workspaceId)) return null;
    ctx.require('read.members', { workspaceId });
    return role;
  },
  act: (id, ctx) => ctx.load(by(Action), id),
  rte: (id, ctx) => (ctx.knowsInstallation ? ctx.load(by(Route), id) : Promise.resolve(null)),
  evt: async (id, ctx) => {
    const event = await ctx.load(by(AuditEvent), id);
    if (!event) return null;
    const { workspaceId } = event;
    if (workspaceId === null) return ctx.knowsInstallation ? event : null;
    if (!ctx.knows(workspaceId)) return null;
    ctx.require('read.audit', { workspaceId });
    return event;
  },
  led: async (id, ctx) => {
    const entry = await ctx.load(entriesById, id);
    const workspace = entry && (await ctx.load(workspacesOf, entry.accountId));
    if (!workspace || !ctx.knows(workspace.id)) return null;
    ctx.require('read.wallet', { workspaceId: workspace.id });
    return entry;
  },
};

/** Maximum ids in one `nodes` query. */
const MAX_NODE_IDS = 100;

async function find(id: string, ctx: GraphQLContext): Promise<Node | null> {
  const prefix = id.split('_', 1)[0] as string;
  return Object.hasOwn(FIND, prefix) ? (FIND[prefix] as Find)(id, ctx) : null;
}

@Resolver()
export class NodeResolver {
  @Query(() => Node, {
    nullable: true,
    description: 'Finds any object by its id. Returns null if it does not exist or the caller may not know of it.',
  })
  async node(
    @Arg('id', () => ID, { description: 'An id of any type that implements Node.' }) id: string,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Node | null> {
    return find(id, ctx);
  }

  @MaxItems(MAX_NODE_IDS)
  @Query(() => [Node], {
    nullable: 'items',
    description:
      `Finds up to ${MAX_NODE_IDS} objects by their ids, in the order of the ids. ` +
      'An object is null if `node` would return null. An error of one object does not affect the others.',
  })
  nodes(
    @Arg('ids', () => [ID], { description: 'Ids of any types that implement Node.' }) ids: string[],
    @Ctx() ctx: GraphQLContext,
  ): Promise<Node | null>[] {
    if (ids.length > MAX_NODE_IDS) throw invalid({ path: ['ids'], message: `must be at most ${MAX_NODE_IDS}` });
    return ids.map((id) => find(id, ctx));
  }
}
