import { Arg, Ctx, Field, ID, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { GraphQLContext, by } from '../../graphql/context';
import { Workspace } from '../../tenancy/workspace.entity';
import { MemberService } from './member.service';

@InputType({ description: 'Who leaves which workspace.' })
class RemoveMemberInput {
  @Field(() => ID, { description: 'Which workspace.' })
  workspaceId: string;

  @Field(() => ID, { description: 'Which person.' })
  userId: string;
}

@InputType({ description: 'Who gets which role.' })
class SetMemberRoleInput {
  @Field(() => ID, { description: 'In which workspace.' })
  workspaceId: string;

  @Field(() => ID, { description: 'Which person.' })
  userId: string;

  @Field(() => ID, { description: 'One of `Workspace.roles`.' })
  roleId: string;
}

@ObjectType({ description: 'What `removeMember` ended.' })
class RemoveMemberPayload {
  @Field(() => Workspace, { nullable: true, description: 'The workspace; null for whoever has just left it.' })
  workspace: Workspace | null;
}

@ObjectType({ description: 'What `setMemberRole` changed.' })
class SetMemberRolePayload {
  @Field({ description: 'The workspace.' })
  workspace: Workspace;
}

@Resolver()
export class MemberResolver {
  constructor(private readonly service: MemberService) {}

  @Mutation(() => RemoveMemberPayload, {
    nullable: true,
    description: 'End a membership at once, on every node. Anybody may leave; whoever removes another holds all that the other’s role grants. CONFLICT for the last owner.',
  })
  async removeMember(@Arg('input', { description: 'Who leaves which workspace.' }) input: RemoveMemberInput, @Ctx() ctx: GraphQLContext): Promise<RemoveMemberPayload> {
    const leaves = input.userId === ctx.caller.id;
    await this.service.remove(leaves && ctx.knows(input.workspaceId) ? ctx.origin : ctx.originIn(input.workspaceId, 'admin.members'), input);
    return { workspace: leaves ? null : await ctx.need(by(Workspace), input.workspaceId) };
  }

  @Mutation(() => SetMemberRolePayload, {
    nullable: true,
    description: 'Give a member another role, at once, on every node. Whoever does it holds all that the old and the new role grant. CONFLICT where it would leave no owner.',
  })
  async setMemberRole(@Arg('input', { description: 'Who gets which role.' }) input: SetMemberRoleInput, @Ctx() ctx: GraphQLContext): Promise<SetMemberRolePayload> {
    await this.service.setRole(ctx.originIn(input.workspaceId, 'admin.members'), input);
    return { workspace: await ctx.need(by(Workspace), input.workspaceId) };
  }
}
