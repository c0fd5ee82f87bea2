import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../../graphql/context';
import { connectionOf, type Connection } from '../../lib/graphql-types';
import { PageArgs } from '../../lib/page-args';
import { EXPECTED_VERSION } from '../../lib/versions';
import { Workspace } from '../../tenancy/workspace.entity';
import { Role } from '../roles/role.entity';
import { MEMBERS, rolesById, MembershipFilter } from './member.queries';
import { MemberService } from './member.service';
import { Membership } from './membership.entity';
import { Person } from './person.entity';

const MembershipConnection = connectionOf(Membership, 'Membership');

@InputType({ description: 'Who leaves which workspace.' })
class RemoveMemberInput {
  @Field(() => ID, { description: 'Which workspace.' })
  workspaceId: string;

  @Field(() => ID, { description: 'Which person.' })
  userId: string;

  @Field(() => Boolean, {
    nullable: true,
    defaultValue: false,
    description: 'Whether the keys of `Membership.liveKeysMinted` are revoked with it, each with its event. Takes `write.keys`.',
  })
  revokeKeys?: boolean | null;
}

@InputType({ description: 'Who gets which role.' })
class SetMemberRoleInput {
  @Field(() => ID, { description: 'In which workspace.' })
  workspaceId: string;

  @Field(() => ID, { description: 'Which person.' })
  userId: string;

  @Field(() => ID, { description: 'One of `Workspace.roles`.' })
  roleId: string;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@ObjectType({ description: 'What `removeMember` ended.' })
class RemoveMemberPayload {
  @Field(() => Workspace, { nullable: true, description: 'The workspace; null for whoever has just left it.' })
  workspace: Workspace | null;

  @Field(() => Int, { description: 'How many keys were revoked: all that they had minted and that were live, or 0 without `revokeKeys`.' })
  keysRevoked: number;
}

@ObjectType({ description: 'What `setMemberRole` changed.' })
class SetMemberRolePayload {
  @Field({ description: 'The membership as it is now.' })
  membership: Membership;
}

@Resolver(() => Membership)
export class MembershipResolver {
  constructor(private readonly service: MemberService) {}

  @FieldResolver(() => Person, { description: 'Who it is.' })
  user(@Root() { userId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Person> {
    return ctx.need(by(Person), userId);
  }

  @FieldResolver(() => Workspace, { description: 'Where.' })
  workspace(@Root() { workspaceId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), workspaceId);
  }

  @FieldResolver(() => Role, { nullable: true, description: 'As what; null where the role is gone, which grants nothing.' })
  role(@Root() { roleId }: Membership, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return ctx.load(rolesById, roleId);
  }

  @FieldResolver(() => Boolean, { description: 'Whether they may do nothing there until they have a second factor.' })
  async secondFactorMissing(@Root() { userId, workspaceId }: Membership, @Ctx() ctx: GraphQLContext): Promise<boolean> {
    const [workspace, person] = await Promise.all([ctx.need(by(Workspace), workspaceId), ctx.need(by(Person), userId)]);
    return workspace.requiresSecondFactor && !person.secondFactorEnabled;
  }

  @Mutation(() => RemoveMemberPayload, {
    nullable: true,
    description:
      'End a membership at once, on every node. Anybody may leave. ' +
      'The keys that the member minted go on working, unless `revokeKeys` ends them.' +
      '\n\nTakes `admin.members`, and holding all that the other’s role grants; nothing to leave; `revokeKeys` takes `write.keys` in any case. ' +
      'Errors: `NOT_FOUND`; `CONFLICT` for the last owner.',
  })
  async removeMember(@Arg('input', { description: 'Who leaves which workspace.' }) input: RemoveMemberInput, @Ctx() ctx: GraphQLContext): Promise<RemoveMemberPayload> {
    const leaves = input.userId === ctx.caller.id;
    const origin = leaves && ctx.knows(input.workspaceId) ? ctx.origin : await ctx.originIn(input.workspaceId, 'admin.members');
    const keysRevoked = await this.service.remove(origin, input);
    return { workspace: leaves ? null : await ctx.need(by(Workspace), input.workspaceId), keysRevoked };
  }

  @Mutation(() => SetMemberRolePayload, {
    nullable: true,
    description:
      'Give a member another role, at once, on every node.' +
      '\n\nTakes `admin.members`, and holding all that the old and the new role grant. Errors: `NOT_FOUND` for the member or the role; `CONFLICT` where it would leave no owner; `FORBIDDEN` for what one may not grant; `CONFLICT` too where `expectedVersion` is not the present one.',
  })
  async setMemberRole(@Arg('input', { description: 'Who gets which role.' }) input: SetMemberRoleInput, @Ctx() ctx: GraphQLContext): Promise<SetMemberRolePayload> {
    return { membership: await this.service.setRole(await ctx.originIn(input.workspaceId, 'admin.members'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceMembersResolver {
  @FieldResolver(() => MembershipConnection, { nullable: true, description: 'Its people, those who joined last first. Takes `read.members`.' })
  async members(
    @Root() { id }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => MembershipFilter, { nullable: true, description: 'Which of them.' }) filter: MembershipFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<Membership>> {
    ctx.require('read.members', { workspaceId: id });
    return ctx.page(MEMBERS, id, filter ?? {}, page);
  }
}
