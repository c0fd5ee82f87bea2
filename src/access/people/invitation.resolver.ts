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

@InputType({ description: 'Whom to let in, and as what.' })
class InviteMemberInput {
  @Field(() => ID, { description: 'Into which workspace.' })
  workspaceId: string;

  @Field({ description: 'Their e-mail address, in any case: `ada@example.com`.' })
  email: string;

  @Field(() => ID, { description: 'A role that is built in, such as `rol_developer`, or one of the workspace’s own.' })
  roleId: string;
}

@InputType({ description: 'Which invitation ends.' })
class WithdrawInvitationInput {
  @Field(() => ID, { description: 'Which invitation.' })
  id: string;
}

@InputType({ description: 'Whoever has no account yet gives a name and a new password; whoever has one, its password, unless they are signed in with it.' })
class AcceptInvitationInput implements Acceptance {
  @Field({ description: 'What stands after `token=` in the link.' })
  token: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters; for a new account.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: '12 to 256 characters for a new account.' })
  password?: string | null;
}

@ObjectType({ description: 'What `inviteMember` made.' })
class InviteMemberPayload {
  @Field({ description: 'The new invitation.' })
  invitation: Invitation;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The link, here and nowhere else, ever; null where it was sent by mail, and in the answer to a repeat.' })
  link: string | null;
}

@ObjectType({ description: 'What `withdrawInvitation` ended.' })
class WithdrawInvitationPayload {
  @Field({ description: 'The invitation as it is now.' })
  invitation: Invitation;
}

@ObjectType({ description: 'What `acceptInvitation` came to.' })
class AcceptInvitationPayload {
  @Field(() => Viewer, { nullable: true, description: 'Who has signed in; null where their account wants a second factor: they are a member now, and sign in by `signIn`.' })
  viewer: Viewer | null;
}

@Resolver(() => Invitation)
export class InvitationResolver {
  constructor(private readonly service: InvitationService) {}

  @FieldResolver(() => Role, { nullable: true, description: 'As what; null where the role is gone.' })
  role(@Root() { roleId }: Invitation, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return ctx.load(rolesById, roleId);
  }

  @Mutation(() => InviteMemberPayload, {
    nullable: true,
    description:
      'Invite a person. Takes the place of an earlier invitation of the same address.' +
      '\n\nTakes `admin.members`, and holding all that the role grants: nobody grants what they lack. Errors: `NOT_FOUND` for the workspace or the role; `CONFLICT` for a member, and without a mail server for an address without an account, unless the operator invites; `FORBIDDEN` for what one may not grant; `RATE_LIMITED` after too many invitations to the workspace, or mails to the address.',
  })
  async inviteMember(@Arg('input', { description: 'Whom, and as what.' }) input: InviteMemberInput, @Ctx() ctx: GraphQLContext): Promise<InviteMemberPayload> {
    return this.service.invite(await ctx.originIn(input.workspaceId, 'admin.members'), input);
  }

  @Mutation(() => WithdrawInvitationPayload, {
    nullable: true,
    description:
      'End an invitation. Repeated, it changes nothing.' +
      '\n\nTakes `admin.members`. Errors: `NOT_FOUND`; `CONFLICT` where it was accepted.',
  })
  async withdrawInvitation(@Arg('input', { description: 'Which invitation.' }) input: WithdrawInvitationInput, @Ctx() ctx: GraphQLContext): Promise<WithdrawInvitationPayload> {
    return { invitation: await this.service.withdraw(await ctx.originFor(by(Invitation), input.id, 'admin.members'), input.id) };
  }

  @Mutation(() => AcceptInvitationPayload, {
    nullable: true,
    description:
      'Follow an invitation’s link, once, and sign in.' +
      '\n\nPublic. Errors: `NOT_FOUND` for any link that does not work; `UNAUTHENTICATED` for a wrong password of an account; `CONFLICT` for a member; `RATE_LIMITED` after too many tries; `SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async acceptInvitation(@Arg('input', { description: 'The link, and who follows it.' }) input: AcceptInvitationInput, @Ctx() ctx: GraphQLContext): Promise<AcceptInvitationPayload> {
    const signedIn = ctx.principal?.kind === 'USER' ? ctx.principal : undefined;
    const { session, personId } = await this.service.accept(signedIn?.id, input, ctx.whence, ctx.held);
    if (!session && personId !== signedIn?.id) return { viewer: null };
    return { viewer: viewerOf(await ctx.signedIn(session ?? undefined)) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceInvitationsResolver {
  @FieldResolver(() => InvitationConnection, { nullable: true, description: 'The invitations that were neither accepted nor withdrawn and have not expired, newest first; each lets nobody in while whoever made it may not make it. Takes `read.members`.' })
  async invitations(@Root() { id }: Workspace, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<Invitation>> {
    ctx.require('read.members', { workspaceId: id });
    return ctx.page(INVITATIONS, id, { now: await ctx.now() }, page);
  }
}
