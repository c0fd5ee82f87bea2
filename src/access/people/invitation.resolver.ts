import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../../graphql/context';
import { ShownOnce, connectionOf, type Connection } from '../../lib/graphql-types';
import { PageArgs } from '../../lib/page-args';
import { Workspace } from '../../tenancy/workspace.entity';
import { Role } from '../roles/role.entity';
import { Viewer, viewerOf } from '../viewer';
import { Invitation } from './invitation.entity';
import { InvitationService, type Acceptance } from './invitation.service';
import { INVITATIONS, rolesById } from './member.queries';

const InvitationConnection = connectionOf(Invitation, 'Invitation');

@InputType({ description: 'The person to invite, and their role.' })
class InviteMemberInput {
  @Field(() => ID, { description: 'The workspace to join.' })
  workspaceId: string;

  @Field({ description: 'Their e-mail address, such as `ada@example.com`. Upper and lower case are equal.' })
  email: string;

  @Field(() => ID, { description: 'A built-in role, such as `rol_developer`, or a role of the workspace.' })
  roleId: string;
}

@InputType({ description: 'The invitation to withdraw.' })
class WithdrawInvitationInput {
  @Field(() => ID, { description: 'The invitation.' })
  id: string;
}

@InputType({
  description:
    'The token of an invitation. A person without an account also gives a name and a new password. A person with an account gives its ' +
    'password, unless they are signed in.',
})
class AcceptInvitationInput implements Acceptance {
  @Field({ description: 'The text after `token=` in the link.' })
  token: string;

  @Field(() => String, { nullable: true, description: 'The name for a new account: 1 to 100 characters.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'The password of the account. For a new account: 12 to 256 characters.' })
  password?: string | null;
}

@ObjectType({ description: 'The result of `inviteMember`.' })
class InviteMemberPayload {
  @Field({ description: 'The new invitation.' })
  invitation: Invitation;

  @ShownOnce()
  @Field(() => String, {
    nullable: true,
    description: 'The link. It is shown only here. Null if it was sent by mail, and in the answer to a repeat of the request.',
  })
  link: string | null;
}

@ObjectType({ description: 'The result of `withdrawInvitation`.' })
class WithdrawInvitationPayload {
  @Field({ description: 'The invitation after the change.' })
  invitation: Invitation;
}

@ObjectType({ description: 'The result of `acceptInvitation`.' })
class AcceptInvitationPayload {
  @Field(() => Viewer, {
    nullable: true,
    description:
      'The person who has signed in. Null if their account has a second factor. They are then a member, and must sign in with `signIn`.',
  })
  viewer: Viewer | null;
}

@Resolver(() => Invitation)
export class InvitationResolver {
  constructor(private readonly service: InvitationService) {}

  @FieldResolver(() => Role, { nullable: true, description: 'The role that the person will have, or null if it was deleted.' })
  role(@Root() { roleId }: Invitation, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return ctx.load(rolesById, roleId);
  }

  @Mutation(() => InviteMemberPayload, {
    nullable: true,
    description:
      'Invite a person. An earlier invitation of the same address is withdrawn.' +
      '\n\nRequires `admin.members` and the right to grant every permission of the role. Errors: `NOT_FOUND` for the workspace or the ' +
      'role; `CONFLICT` if the person is a member, or if the address has no account and this server sends no mail (only the operator ' +
      'may invite it then); `FORBIDDEN` for a permission that the caller may not grant; `RATE_LIMITED` after too many invitations to the ' +
      'workspace, or too many mails to the address.',
  })
  async inviteMember(
    @Arg('input', { description: 'The person and their role.' }) input: InviteMemberInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<InviteMemberPayload> {
    return this.service.invite(await ctx.originIn(input.workspaceId, 'admin.members'), input);
  }

  @Mutation(() => WithdrawInvitationPayload, {
    nullable: true,
    description:
      'Withdraw an invitation. A repeat changes nothing.' +
      '\n\nRequires `admin.members`. Errors: `NOT_FOUND`; `CONFLICT` if it was accepted.',
  })
  async withdrawInvitation(
    @Arg('input', { description: 'The invitation.' }) input: WithdrawInvitationInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<WithdrawInvitationPayload> {
    return { invitation: await this.service.withdraw(await ctx.originFor(by(Invitation), input.id, 'admin.members'), input.id) };
  }

  @Mutation(() => AcceptInvitationPayload, {
    nullable: true,
    description:
      'Accept an invitation with the token of its link, and sign in. A link works once.' +
      '\n\nPublic. Errors: `NOT_FOUND` if the link is invalid or has expired; `UNAUTHENTICATED` for a wrong password of an account; ' +
      '`CONFLICT` if the person is a member already; `RATE_LIMITED` after too many tries; `SERVICE_UNAVAILABLE` while too many passwords ' +
      'are being checked.',
  })
  async acceptInvitation(
    @Arg('input', { description: 'The token, and the name or password of the person.' }) input: AcceptInvitationInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<AcceptInvitationPayload> {
    const signedIn = ctx.principal?.kind === 'USER' ? ctx.principal : undefined;
    const { session, personId } = await this.service.accept(signedIn?.id, input, ctx.whence, ctx.held);
    if (!session && personId !== signedIn?.id) return { viewer: null };
    return { viewer: viewerOf(await ctx.signedIn(session ?? undefined)) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceInvitationsResolver {
  @FieldResolver(() => InvitationConnection, {
    nullable: true,
    description:
      'The open invitations, newest first: not accepted, not withdrawn and not expired. An invitation can be accepted only while its ' +
      'inviter has the permissions to invite with this role. Requires `read.members`.',
  })
  async invitations(@Root() { id }: Workspace, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<Invitation>> {
    ctx.require('read.members', { workspaceId: id });
    return ctx.page(INVITATIONS, id, { now: await ctx.now() }, page);
  }
}
