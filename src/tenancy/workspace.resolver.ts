import { Arg, Args, Ctx, Field, ID, InputType, Int, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import type { Connection } from '../lib/graphql-types';
import { NamedOrder, connectionOf } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { GraphQLContext, by } from '../graphql/context';
import { EXPECTED_VERSION } from '../lib/version-descriptions';
import { Workspace } from './workspace.entity';
import { WORKSPACES, WorkspaceFilter } from './workspace.queries';
import { WorkspaceService } from './workspace.service';

const WorkspaceConnection = connectionOf(Workspace, 'Workspace');

@InputType({ description: 'A new workspace.' })
class CreateWorkspaceInput {
  @Field({ description: '1 to 100 characters.' })
  name: string;

  @Field({ description: '2 to 40 characters of a-z, 0-9 and -. Unique; never changes. A taken slug is CONFLICT.' })
  slug: string;

  @Field(() => String, {
    nullable: true,
    description: '2 to 12 characters of a-z and 0-9; the first is a letter. Not unique. Default: made from the slug.',
  })
  keyPrefix?: string | null;
}

@InputType({ description: 'Changes of a workspace. An absent field keeps its value.' })
class UpdateWorkspaceInput {
  @Field(() => ID, { description: 'The workspace.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => String, {
    nullable: true,
    description: '2 to 12 characters of a-z and 0-9; the first is a letter. Applies to secrets minted from now on. Operator only.',
  })
  keyPrefix?: string;

  @Field(() => Boolean, {
    nullable: true,
    description: 'Whether members have no access until they have set up a second factor. Requires `admin.security`.',
  })
  requiresSecondFactor?: boolean;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@ObjectType({ description: 'The result of `createWorkspace`.' })
class CreateWorkspacePayload {
  @Field({ description: 'The new workspace.' })
  workspace: Workspace;
}

@ObjectType({ description: 'The result of `updateWorkspace`.' })
class UpdateWorkspacePayload {
  @Field({ description: 'The workspace after the change.' })
  workspace: Workspace;
}

@Resolver(() => Workspace)
export class WorkspaceResolver {
  constructor(private readonly service: WorkspaceService) {}

  @Query(() => Workspace, {
    nullable: true,
    description: 'The workspace with this id, or null if it does not exist or the caller may not see it.',
  })
  async workspace(
    @Arg('id', () => ID, { description: 'Begins with `ws_`.' }) id: string,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Workspace | null> {
    return ctx.knows(id) ? ctx.load(by(Workspace), id) : null;
  }

  @Query(() => Workspace, {
    nullable: true,
    description: 'The workspace with this slug, or null if it does not exist or the caller may not see it.',
  })
  async workspaceBySlug(
    @Arg('slug', { description: 'Such as `acme`.' }) slug: string,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Workspace | null> {
    const found = await ctx.load(by(Workspace, 'slug'), slug);
    return found && ctx.knows(found.id) ? found : null;
  }

  @Query(() => WorkspaceConnection, {
    description: 'The workspaces that the viewer may see, newest first by default. The operator sees all.',
  })
  async workspaces(
    @Args() page: PageArgs,
    @Arg('filter', () => WorkspaceFilter, { nullable: true, description: 'Selects workspaces.' }) filter: WorkspaceFilter | null,
    @Arg('orderBy', () => NamedOrder, { nullable: true, description: 'Default: newest first.' }) orderBy: NamedOrder | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<Workspace>> {
    return ctx.page(WORKSPACES, { ids: ctx.knownWorkspaces }, { filter: filter ?? {}, orderBy }, page);
  }

  @Mutation(() => CreateWorkspacePayload, {
    nullable: true,
    description:
      'Create a workspace, with an empty wallet.' +
      '\n\nOperator only. Errors: `CONFLICT` if the slug is taken.',
  })
  async createWorkspace(
    @Arg('input', { description: 'The new workspace.' }) input: CreateWorkspaceInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<CreateWorkspacePayload> {
    return { workspace: await this.service.create(ctx.operatorOrigin, input) };
  }

  @Mutation(() => UpdateWorkspacePayload, {
    nullable: true,
    description:
      "Change a workspace's name or key prefix, and whether it requires a second factor." +
      '\n\nRequires `write.workspace`, and `admin.security` for the second factor. ' +
      'Only the operator may change the key prefix. Errors: `NOT_FOUND`; ' +
      '`CONFLICT` if `expectedVersion` is not the current version.',
  })
  async updateWorkspace(
    @Arg('input', { description: 'The changes.' }) input: UpdateWorkspaceInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateWorkspacePayload> {
    const { id, name, keyPrefix, requiresSecondFactor } = input;
    if (requiresSecondFactor !== undefined) await ctx.originIn(id, 'admin.security');
    if (keyPrefix !== undefined && ctx.knows(id)) ctx.requireOperator(); // it is the brand that callers see on secrets
    const onlySecurity = requiresSecondFactor !== undefined && name === undefined && keyPrefix === undefined;
    return { workspace: await this.service.update(await ctx.originIn(id, onlySecurity ? 'admin.security' : 'write.workspace'), input) };
  }
}
