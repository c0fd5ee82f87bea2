import { Arg, Ctx, ID, Query, Resolver } from 'type-graphql';
import { Invitation } from '../access/people/invitation.entity';
import { membershipsById, workspacesOfPeople } from '../access/people/member.queries';
import { Membership } from '../access/people/membership.entity';
import { Person } from '../access/people/person.entity';
import { may } from '../access/policies';
import { Role, builtInRole } from '../access/roles/role.entity';
import { Session } from '../access/sessions/session.entity';
import { viewerOf } from '../access/viewer';
import { Action } from '../actions/action.entity';
import { AuditEvent } from '../audit/event.entity';
import { invalid } from '../errors';
import { ApiKey } from '../keys/key.entity';
import { MaxItems, Node } from '../lib/graphql-types';
import { OAuthClient } from '../oauth/client.entity';
import { Consent } from '../oauth/consent.entity';
import { RequestLog } from '../requests/request-log.entity';
import { Route } from '../routes/route.entity';
import { ServiceAccount } from '../service-accounts/service-account.entity';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { entriesById, workspacesOf } from '../wallet/ledger.queries';
import { Wallet } from '../wallet/wallet.entity';
import { GraphQLContext, by } from '../graphql/context';

type Find = (id: string, ctx: GraphQLContext) => Promise<Node | null>;

const application = (id: string, ctx: GraphQLContext): Promise<OAuthClient | null> => ctx.seen(by(OAuthClient), id, 'read.members');

const invitation = (id: string, ctx: GraphQLContext): Promise<Invitation | null> => ctx.seen(by(Invitation), id, 'read.members');

/** People find their own consents. Other callers need `read.members`. */
async function consent(id: string, ctx: GraphQLContext): Promise<Consent | null> {
  const found = await ctx.load(by(Consent), id);
  return found?.userId === ctx.caller.id ? found : seenByOthers(found, ctx);
}

/** People find their own memberships. Other callers need `read.members`. */
async function membership(id: string, ctx: GraphQLContext): Promise<Membership | null> {
  const found = await ctx.load(membershipsById, id);
  return found?.userId === ctx.caller.id ? found : seenByOthers(found, ctx);
}

function seenByOthers<T extends { workspaceId: string }>(found: T | null, ctx: GraphQLContext): T | null {
  if (!found || !ctx.knows(found.workspaceId)) return null;
  ctx.require('read.members', found);
  return found;
}

/** Only its person finds a session. */
async function session(id: string, ctx: GraphQLContext): Promise<Session | null> {
  const found = await ctx.load(by(Session), id);
  return found?.userId === ctx.caller.id ? found : null;
}

/** Finds the caller itself, and the members of the workspaces in which the caller has `read.members`. The operator finds all people. */
async function person(id: string, ctx: GraphQLContext): Promise<Person | null> {
  const [found, workspaceIds] = await Promise.all([ctx.load(by(Person), id), ctx.load(workspacesOfPeople, id)]);
  if (!found || found.id === ctx.caller.id || ctx.knowsInstallation) return found;
  const [known, ...others] = (workspaceIds ?? []).filter((workspaceId) => ctx.knows(workspaceId));
  if (known === undefined) return null;
  if (!others.some((workspaceId) => may(ctx.caller, 'read.members', workspaceId))) ctx.require('read.members', { workspaceId: known });
  return found;
}

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
  app: application,
  con: consent,
  inv: invitation,
  mem: membership,
  ses: session,
  usr: person,
  viewer: (id, ctx) => {
    const viewer = viewerOf(ctx.caller);
    return Promise.resolve(viewer.id === id ? viewer : null);
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

  @Query(() => OAuthClient, {
    nullable: true,
    description: 'The OAuth application with this id, or null if it does not exist or the caller may not see it. Requires `read.members`.',
  })
  oauthClient(@Arg('id', () => ID, { description: 'Begins with `app_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<OAuthClient | null> {
    return application(id, ctx);
  }

  @Query(() => Consent, {
    nullable: true,
    description: 'The consent with this id, or null if it does not exist or the caller may not see it. Requires `read.members`, except for the own consents of a person.',
  })
  consent(@Arg('id', () => ID, { description: 'Begins with `con_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<Consent | null> {
    return consent(id, ctx);
  }

  @Query(() => Invitation, {
    nullable: true,
    description: 'The invitation with this id, or null if it does not exist or the caller may not see it. Requires `read.members`.',
  })
  invitation(@Arg('id', () => ID, { description: 'Begins with `inv_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<Invitation | null> {
    return invitation(id, ctx);
  }

  @Query(() => Membership, {
    nullable: true,
    description: 'The membership with this id, or null if it does not exist or the caller may not see it. Requires `read.members`, except for the own memberships of a person.',
  })
  membership(@Arg('id', () => ID, { description: 'Begins with `mem_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<Membership | null> {
    return membership(id, ctx);
  }

  @Query(() => Session, {
    nullable: true,
    description: 'The session with this id, or null if it does not exist or the caller may not see it. Only its person may see it.',
  })
  session(@Arg('id', () => ID, { description: 'Begins with `ses_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<Session | null> {
    return session(id, ctx);
  }

  @Query(() => Person, {
    nullable: true,
    description: 'The person with this id, or null if it does not exist or the caller may not see it. Requires `read.members` in a workspace of the person, except for the caller itself.',
  })
  user(@Arg('id', () => ID, { description: 'Begins with `usr_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<Person | null> {
    return person(id, ctx);
  }
}
