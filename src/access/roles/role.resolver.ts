import { Arg, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../../graphql/context';
import { MaxItems } from '../../lib/graphql-types';
import { EXPECTED_VERSION } from '../../lib/versions';
import { Workspace } from '../../tenancy/workspace.entity';
import { BUILT_IN_ROLES, Role } from './role.entity';
import { rolesOfWorkspaces } from './role.queries';
import { MAX_ROLES, RoleService } from './role.service';

@InputType({ description: 'A new role.' })
class CreateRoleInput {
  @Field(() => ID, { description: 'The workspace that it belongs to.' })
  workspaceId: string;

  @Field({ description: '1 to 100 characters, unique in the workspace.' })
  name: string;

  @Field(() => [String], { description: 'Administrative permissions of `Query.permissions`, or a part of one with `.*`. Whoever makes it holds them all.' })
  permissions: string[];
}

@InputType({ description: 'What is to change; an absent field keeps its value.' })
class UpdateRoleInput {
  @Field(() => ID, { description: 'Which role.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => [String], { nullable: true, description: 'All that it grants from now on, to everybody who has it.' })
  permissions?: string[];

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'Which role goes.' })
class DeleteRoleInput {
  @Field(() => ID, { description: 'Which role.' })
  id: string;
}

@ObjectType({ description: 'What `createRole` made.' })
class CreateRolePayload {
  @Field({ description: 'The new role.' })
  role: Role;
}

@ObjectType({ description: 'What `updateRole` changed.' })
class UpdateRolePayload {
  @Field({ description: 'The role as it is now.' })
  role: Role;
}

@ObjectType({ description: 'What `deleteRole` removed.' })
class DeleteRolePayload {
  @Field({ description: 'The workspace that it belonged to.' })
  workspace: Workspace;
}

/** A role that is in the table, and so belongs to a workspace. */
type OwnRole = Role & { workspaceId: string };
const ownRoles = by(Role as new () => OwnRole);

@Resolver(() => Role)
export class RoleResolver {
  constructor(private readonly service: RoleService) {}

  @FieldResolver(() => Boolean, { description: 'Whether every workspace has it.' })
  builtIn(@Root() role: Role): boolean {
    return role.workspaceId === null;
  }

  @Mutation(() => CreateRolePayload, {
    nullable: true,
    description:
      'Make a role of administrative permissions.' +
      '\n\nTakes `admin.roles`, and holding all that the role grants: nobody grants what they lack. Errors: `NOT_FOUND` for the workspace; `CONFLICT` where it has a role of this name, or 100 of its own; `FORBIDDEN` for what one may not grant.',
  })
  async createRole(@Arg('input', { description: 'The new role.' }) input: CreateRoleInput, @Ctx() ctx: GraphQLContext): Promise<CreateRolePayload> {
    return { role: await this.service.create(await ctx.originIn(input.workspaceId, 'admin.roles'), input) };
  }

  @Mutation(() => UpdateRolePayload, {
    nullable: true,
    description:
      'Change a role; it counts at once for all who have it.' +
      '\n\nTakes `admin.roles`, and for other permissions holding all that the role grants, before and after. Errors: `NOT_FOUND`, for one that is built in as well; `CONFLICT` where its workspace has another of this name; `FORBIDDEN` for what one may not grant; `CONFLICT` too where `expectedVersion` is not the present one.',
  })
  async updateRole(@Arg('input', { description: 'What is to change.' }) input: UpdateRoleInput, @Ctx() ctx: GraphQLContext): Promise<UpdateRolePayload> {
    return { role: await this.service.update(await ctx.originFor(ownRoles, input.id, 'admin.roles'), input) };
  }

  @Mutation(() => DeleteRolePayload, {
    nullable: true,
    description:
      'Remove a role that nobody has.' +
      '\n\nTakes `admin.roles`. Errors: `NOT_FOUND`, for one that is built in as well; `CONFLICT` where a person, an invitation, a key or a service account has it.',
  })
  async deleteRole(@Arg('input', { description: 'Which role.' }) input: DeleteRoleInput, @Ctx() ctx: GraphQLContext): Promise<DeleteRolePayload> {
    const { workspaceId } = await this.service.delete(await ctx.originFor(ownRoles, input.id, 'admin.roles'), input);
    return { workspace: await ctx.need(by(Workspace), workspaceId) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceRolesResolver {
  @MaxItems(BUILT_IN_ROLES.length + MAX_ROLES)
  @FieldResolver(() => [Role], { nullable: true, description: 'Those that are built in, from the most to the least that they may do, then its own by name; at most 105. Takes `read.members`.' })
  async roles(@Root() { id: workspaceId }: Workspace, @Ctx() ctx: GraphQLContext): Promise<Role[]> {
    ctx.require('read.members', { workspaceId });
    return ctx.need(rolesOfWorkspaces, workspaceId);
  }
}
