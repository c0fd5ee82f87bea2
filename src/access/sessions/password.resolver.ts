import { Arg, Ctx, Field, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { GraphQLContext } from '../../graphql/context';
import { Person } from '../people/person.entity';
import { PasswordService } from './password.service';

@InputType({ description: 'A new password of the caller.' })
class ChangePasswordInput {
  @Field({ description: 'The current password.' })
  currentPassword: string;

  @Field({ description: 'The new password: 12 to 256 characters, and not the e-mail address.' })
  newPassword: string;
}

@InputType({ description: 'The person who forgot their password.' })
class RequestPasswordResetInput {
  @Field({ description: 'Their e-mail address, such as `ada@example.com`. Upper and lower case are equal.' })
  email: string;
}

@InputType({ description: 'The token of a link, and a new password.' })
class ResetPasswordInput {
  @Field({ description: 'The text after `token=` in the link.' })
  token: string;

  @Field({ description: 'The new password: 12 to 256 characters, and not the e-mail address.' })
  newPassword: string;
}

@ObjectType({ description: 'The result of `changePassword`.' })
class ChangePasswordPayload {
  @Field({ description: 'The person.' })
  user: Person;
}

@ObjectType({ description: 'The result of `requestPasswordReset`. It tells only the operator whether the address has an account.' })
class RequestPasswordResetPayload {
  @Field({ description: 'Always true. If the address has an account, a mail is sent.' })
  accepted: boolean;

  @Field(() => String, {
    nullable: true,
    description:
      'Only for the operator: the link, to hand to the owner of the account; no mail is sent. Null if the address has no account.',
  })
  link: string | null;
}

@ObjectType({ description: 'The result of `resetPassword`.' })
class ResetPasswordPayload {
  @Field({ description: 'Always true. The new password is set, and every session and consent has ended.' })
  changed: boolean;
}

@Resolver()
export class PasswordResolver {
  constructor(private readonly service: PasswordService) {}

  @Mutation(() => ChangePasswordPayload, {
    nullable: true,
    description:
      'Set a new password and end all other sessions. Consents for applications stay: see `Viewer.consents`.' +
      '\n\nOnly for people who have signed in. Errors: `UNAUTHENTICATED` if the current password is wrong; `RATE_LIMITED` after too many ' +
      'tries; `SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async changePassword(
    @Arg('input', { description: 'Both passwords.' }) input: ChangePasswordInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<ChangePasswordPayload> {
    const { id, sessionId } = ctx.person;
    return { user: await this.service.change(id, sessionId, input, ctx.whence) };
  }

  @Mutation(() => RequestPasswordResetPayload, {
    nullable: true,
    description:
      'Send a mail with a link to set a new password. The operator gets the link in the answer, and no mail is sent.' +
      '\n\nPublic. Errors: `CONFLICT` if this server sends no mail; `RATE_LIMITED` after too many mails.',
  })
  async requestPasswordReset(
    @Arg('input', { description: 'The account.' }) { email }: RequestPasswordResetInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<RequestPasswordResetPayload> {
    if (ctx.principal?.kind === 'OPERATOR') return { accepted: true, link: await this.service.resetLink(ctx.origin, email) };
    await this.service.requestReset(email, ctx.whence);
    return { accepted: true, link: null };
  }

  @Mutation(() => ResetPasswordPayload, {
    nullable: true,
    description:
      'Set a new password with the token of a link, which works once. Ends every session and every consent of the person, because an ' +
      'attacker with the old password may have given a consent. Does not sign in.' +
      '\n\nPublic. Errors: `NOT_FOUND` if the link is invalid or has expired; `SERVICE_UNAVAILABLE` while too many passwords are being ' +
      'checked.',
  })
  async resetPassword(
    @Arg('input', { description: 'The link and the password.' }) input: ResetPasswordInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<ResetPasswordPayload> {
    ctx.keepDevice(await this.service.reset(input, ctx.whence, ctx.held.device));
    return { changed: true };
  }
}
