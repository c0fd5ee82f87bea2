import { Arg, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../../graphql/context';
import { MaxItems } from '../../lib/graphql-types';
import { EXPECTED_VERSION } from '../../lib/version-descriptions';
import { ADMINISTRATIVE_PERMISSIONS, administrativeOf } from '../permissions';
import { Workspace } from '../../tenancy/workspace.entity';
import { BUILT_IN_ROLES, Role } from './role.entity';
import { rolesOfWorkspaces } from './role.queries';
import { MAX_ROLES, RoleService } from './role.service';

@InputType({ description: 'A new role.' })
class CreateRoleInput {
  @Field(() => ID, { description: 'The workspace of the role.' })
  workspaceId: string;

  @Field({ description: '1 to 100 characters, unique in the workspace.' })
  name: string;

  @Field(() => [String], {
    description:
      'Administrative permissions from `Query.permissions`, or a prefix with a wildcard such as `read.*`. ' +
      'The caller must have all of them.',
  })
  permissions: string[];
}

@InputType({ description: 'Changes of a role. An absent field keeps its value.' })
class UpdateRoleInput {
  @Field(() => ID, { description: 'The role.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => [String], { nullable: true, description: 'The new list of permissions, for all who have the role.' })
  permissions?: string[];

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'The role to delete.' })
class DeleteRoleInput {
  @Field(() => ID, { description: 'The role.' })
  id: string;
}

@ObjectType({ description: 'The result of `createRole`.' })
class CreateRolePayload {
  @Field({ description: 'The new role.' })
  role: Role;
}

@ObjectType({ description: 'The result of `updateRole`.' })
class UpdateRolePayload {
  @Field({ description: 'The role after the change.' })
  role: Role;
}

@ObjectType({ description: 'The result of `deleteRole`.' })
class DeleteRolePayload {
  @Field({ description: 'The workspace of the deleted role.' })
  workspace: Workspace;
}

/** A role that is stored, and so belongs to a workspace. */
type OwnRole = Role & { workspaceId: string };
const ownRoles = by(Role as new () => OwnRole);

@Resolver(() => Role)
export class RoleResolver {
  constructor(private readonly service: RoleService) {}

  @FieldResolver(() => Boolean, { description: 'Whether it is one of the roles that every workspace has.' })
  builtIn(@Root() role: Role): boolean {
    return role.workspaceId === null;
  }

  @MaxItems(ADMINISTRATIVE_PERMISSIONS.length)
  @FieldResolver(() => [String], {
    description:
      'All permissions that it grants, as names of `Query.permissions`. `permissions` may have wildcards and names that include others, ' +
      'such as `read`. Roles grant no permissions of actions.',
  })
  effectivePermissions(@Root() { permissions }: Role): string[] {
    return administrativeOf(permissions);
  }

  @Mutation(() => CreateRolePayload, {
    nullable: true,
    description:
      'Create a role of administrative permissions.' +
      '\n\nRequires `admin.roles` and the right to grant every permission of the role. Errors: `NOT_FOUND` for the workspace; ' +
      '`CONFLICT` if it has a role with this name, or already defines 100 roles; ' +
      '`FORBIDDEN` for a permission that the caller may not grant.',
  })
  async createRole(
    @Arg('input', { description: 'The new role.' }) input: CreateRoleInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<CreateRolePayload> {
    return { role: await this.service.create(await ctx.originIn(input.workspaceId, 'admin.roles'), input) };
  }

  @Mutation(() => UpdateRolePayload, {
    nullable: true,
    description:
      'Change a role. The change applies at once to all who have the role.' +
      '\n\nRequires `admin.roles`. A change of permissions also requires every old permission and the right to grant every new one. ' +
      'Errors: `NOT_FOUND`, also for a built-in role; `FORBIDDEN` for a permission that the caller may not grant; `CONFLICT` if the ' +
      'workspace has another role with this name, or if `expectedVersion` is not the current version.',
  })
  async updateRole(
    @Arg('input', { description: 'The changes.' }) input: UpdateRoleInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateRolePayload> {
    return { role: await this.service.update(await ctx.originFor(ownRoles, input.id, 'admin.roles'), input) };
  }

  @Mutation(() => DeleteRolePayload, {
    nullable: true,
    description:
      'Delete a role that is not in use.' +
      '\n\nRequires `admin.roles`. Errors: `NOT_FOUND`, also for a built-in role; `CONFLICT` while a person, an invitation, a key or a ' +
      'service account has the role.',
  })
  async deleteRole(
    @Arg('input', { description: 'The role.' }) input: DeleteRoleInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<DeleteRolePayload> {
    const { workspaceId } = await this.service.delete(await ctx.originFor(ownRoles, input.id, 'admin.roles'), input);
    return { workspace: await ctx.need(by(Workspace), workspaceId) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceRolesResolver {
  @MaxItems(BUILT_IN_ROLES.length + MAX_ROLES)
  @FieldResolver(() => [Role], {
    nullable: true,
    description: 'The five built-in roles, then its own roles by name; at most 105. Requires `read.members`.',
  })
  async roles(@Root() { id: workspaceId }: Workspace, @Ctx() ctx: GraphQLContext): Promise<Role[]> {
    ctx.require('read.members', { workspaceId });
    return ctx.need(rolesOfWorkspaces, workspaceId);
  }
}
