import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../../graphql/context';
import { connectionOf, type Connection } from '../../lib/graphql-types';
import { PageArgs } from '../../lib/page-args';
import { EXPECTED_VERSION } from '../../lib/version-descriptions';
import { Workspace } from '../../tenancy/workspace.entity';
import { Role } from '../roles/role.entity';
import { MEMBERS, rolesById, MembershipFilter } from './member.queries';
import { MemberService } from './member.service';
import { Membership } from './membership.entity';
import { Person } from './person.entity';

const MembershipConnection = connectionOf(Membership, 'Membership');

@InputType({ description: 'The membership to end.' })
class RemoveMemberInput {
  @Field(() => ID, { description: 'The workspace.' })
  workspaceId: string;

  @Field(() => ID, { description: 'The person.' })
  userId: string;

  @Field(() => Boolean, {
    nullable: true,
    defaultValue: false,
    description: 'Whether to revoke the keys of `Membership.liveKeysMinted` too. Each one gets an event. Requires `write.keys`.',
  })
  revokeKeys?: boolean | null;
}

@InputType({ description: 'The new role of a member.' })
class SetMemberRoleInput {
  @Field(() => ID, { description: 'The workspace.' })
  workspaceId: string;

  @Field(() => ID, { description: 'The person.' })
  userId: string;

  @Field(() => ID, { description: 'The new role, from `Workspace.roles`.' })
  roleId: string;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@ObjectType({ description: 'The result of `removeMember`.' })
class RemoveMemberPayload {
  @Field(() => Workspace, { nullable: true, description: 'The workspace. Null if the caller has left it.' })
  workspace: Workspace | null;

  @Field(() => Int, { description: 'Number of revoked keys: all live keys that the member minted, or 0 without `revokeKeys`.' })
  keysRevoked: number;
}

@ObjectType({ description: 'The result of `setMemberRole`.' })
class SetMemberRolePayload {
  @Field({ description: 'The membership after the change.' })
  membership: Membership;
}

@Resolver(() => Membership)
export class MembershipResolver {
  constructor(private readonly service: MemberService) {}

  @FieldResolver(() => Person, { description: 'The person.' })
  user(@Root() { userId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Person> {
    return ctx.need(by(Person), userId);
  }

  @FieldResolver(() => Workspace, { description: 'The workspace.' })
  workspace(@Root() { workspaceId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), workspaceId);
  }

  @FieldResolver(() => Role, { nullable: true, description: 'The role. Null if it was deleted: the member then has no permissions.' })
  role(@Root() { roleId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return ctx.load(rolesById, roleId);
  }

  @FieldResolver(() => Boolean, {
    description: 'Whether the member has no permissions because the workspace requires a second factor, and the member has none.',
  })
  async secondFactorMissing(@Root() { userId, workspaceId }: Membership, @Ctx() ctx: GraphQLContext): Promise<boolean> {
    const [workspace, person] = await Promise.all([ctx.need(by(Workspace), workspaceId), ctx.need(by(Person), userId)]);
    return workspace.requiresSecondFactor && !person.secondFactorEnabled;
  }

  @Mutation(() => RemoveMemberPayload, {
    nullable: true,
    description:
      'End a membership at once, on every node. Every member may leave. ' +
      'The keys that the member minted keep working, unless `revokeKeys` is true.' +
      '\n\nRequires `admin.members` and every permission of the other member’s role. Leaving requires no permission. ' +
      '`revokeKeys` always requires `write.keys`. Errors: `NOT_FOUND`; `CONFLICT` for the last owner.',
  })
  async removeMember(
    @Arg('input', { description: 'The membership to end.' }) input: RemoveMemberInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<RemoveMemberPayload> {
    const leaves = input.userId === ctx.caller.id;
    const origin = leaves && ctx.knows(input.workspaceId) ? ctx.origin : await ctx.originIn(input.workspaceId, 'admin.members');
    const keysRevoked = await this.service.remove(origin, input);
    return { workspace: leaves ? null : await ctx.need(by(Workspace), input.workspaceId), keysRevoked };
  }

  @Mutation(() => SetMemberRolePayload, {
    nullable: true,
    description:
      'Change the role of a member. The change applies at once, on every node.' +
      '\n\nRequires `admin.members`, every permission of the old role and the right to grant every permission of the new role. ' +
      'Errors: `NOT_FOUND` for the member or the role; `FORBIDDEN` for a permission that the caller lacks or may not grant; `CONFLICT` ' +
      'if no owner would be left, or if `expectedVersion` is not the current version.',
  })
  async setMemberRole(
    @Arg('input', { description: 'The member and the new role.' }) input: SetMemberRoleInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<SetMemberRolePayload> {
    return { membership: await this.service.setRole(await ctx.originIn(input.workspaceId, 'admin.members'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceMembersResolver {
  @FieldResolver(() => MembershipConnection, {
    nullable: true,
    description: 'Its members, newest first. Requires `read.members`.',
  })
  async members(
    @Root() { id }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => MembershipFilter, { nullable: true, description: 'Selects members.' }) filter: MembershipFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<Membership>> {
    ctx.require('read.members', { workspaceId: id });
    return ctx.page(MEMBERS, id, filter ?? {}, page);
  }
}
