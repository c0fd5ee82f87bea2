import { Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import { In } from 'typeorm';
import { heldIn, heldOfActions } from '../access/policies';
import type { Principal } from '../access/principal';
import { GraphQLContext, type Batch } from '../graphql/context';
import { MaxItems } from '../lib/graphql-types';
import { ServiceAccountProject } from '../service-accounts/service-account.entity';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { permissionsOfActions } from './action.queries';

/**
 * The number of permissions that the estimated price of one list assumes. If a caller has more, because there are many actions, it pays for
 * the others when they are answered.
 */
const EXPECTED_VIEWER_PERMISSIONS = 100;

/** The ids of the projects that each service account may call in. */
const projectsOfAccounts: Batch<Set<string>> = async (accountIds, reader) => {
  const granted = await reader.findBy(ServiceAccountProject, { accountId: In([...accountIds]) });
  const projectsOf = (id: string) => granted.filter(({ accountId }) => accountId === id).map(({ projectId }) => projectId);
  return new Map(accountIds.map((id) => [id, new Set(projectsOf(id))]));
};

/** Whether the caller could call actions in a project. Only keys, service accounts and applications can; the operator counts too. */
async function callsIn(caller: Principal, projectId: string, ctx: GraphQLContext): Promise<boolean> {
  if (caller.kind === 'SERVICE_ACCOUNT') return (await ctx.load(projectsOfAccounts, caller.id))?.has(projectId) ?? false;
  if (caller.kind === 'API_KEY' || caller.kind === 'OAUTH_CLIENT') return caller.projectId === projectId;
  return caller.kind === 'OPERATOR';
}

/** The permissions of actions that the caller has in a workspace. */
async function actionsIn(workspaceId: string, ctx: GraphQLContext): Promise<string[]> {
  return heldOfActions(ctx.caller, workspaceId, await ctx.need(permissionsOfActions, 'all'));
}

@Resolver(() => Workspace)
export class WorkspaceViewerPermissionsResolver {
  @MaxItems(EXPECTED_VIEWER_PERMISSIONS)
  @FieldResolver(() => [String], {
    description:
      'All permissions that the caller has in this workspace, as names of `Query.permissions`, without wildcards. The operator has all. ' +
      'A permission of an action may hold in only some projects: see `Project.viewerPermissions`.',
  })
  async viewerPermissions(@Root() { id }: Workspace, @Ctx() ctx: GraphQLContext): Promise<string[]> {
    return [...(await actionsIn(id, ctx)), ...heldIn(ctx.caller, id)];
  }
}

@Resolver(() => Project)
export class ProjectViewerPermissionsResolver {
  @MaxItems(EXPECTED_VIEWER_PERMISSIONS)
  @FieldResolver(() => [String], {
    description:
      'All permissions that the caller has in this project, as names of `Query.permissions`, without wildcards: those of ' +
      '`Workspace.viewerPermissions`, without permissions of actions that the caller cannot call in this project.',
  })
  async viewerPermissions(@Root() { id, workspaceId }: Project, @Ctx() ctx: GraphQLContext): Promise<string[]> {
    const ofActions = (await callsIn(ctx.caller, id, ctx)) ? await actionsIn(workspaceId, ctx) : [];
    return [...ofActions, ...heldIn(ctx.caller, workspaceId)];
  }
}
