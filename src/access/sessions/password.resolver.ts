import { Arg, Ctx, Field, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { GraphQLContext } from '../../graphql/context';
import { Person } from '../people/person.entity';
import { PasswordService } from './password.service';

@InputType({ description: 'A new password for whoever asks.' })
class ChangePasswordInput {
  @Field({ description: 'The one that they have now.' })
  currentPassword: string;

  @Field({ description: '12 to 256 characters, and not the e-mail address.' })
  newPassword: string;
}

@InputType({ description: 'Who has forgotten their password.' })
class RequestPasswordResetInput {
  @Field({ description: 'Their e-mail address, in any case: `ada@example.com`.' })
  email: string;
}

@InputType({ description: 'A new password, by the link of a mail.' })
class ResetPasswordInput {
  @Field({ description: 'What stands after `token=` in the link.' })
  token: string;

  @Field({ description: '12 to 256 characters, and not the e-mail address.' })
  newPassword: string;
}

@ObjectType({ description: 'What `changePassword` changed.' })
class ChangePasswordPayload {
  @Field({ description: 'Whose it is.' })
  user: Person;
}

@ObjectType({ description: 'What `requestPasswordReset` says of any address.' })
class RequestPasswordResetPayload {
  @Field({ description: 'True: a mail is on its way where the address has an account.' })
  accepted: boolean;

  @Field(() => String, { nullable: true, description: 'The link, for the operator alone, where the address has an account: hand it to its owner. No mail is sent then.' })
  link: string | null;
}

@ObjectType({ description: 'What `resetPassword` came to.' })
class ResetPasswordPayload {
  @Field({ description: 'True: the new password counts, and every session and consent has ended.' })
  changed: boolean;
}

@Resolver()
export class PasswordResolver {
  constructor(private readonly service: PasswordService) {}

  @Mutation(() => ChangePasswordPayload, {
    nullable: true,
    description:
      'Set a new password, and end every other session. What applications were let do goes on: see `Viewer.consents`.' +
      '\n\nFor who has signed in. Errors: `UNAUTHENTICATED` for a wrong current one; `RATE_LIMITED` after too many tries; `SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async changePassword(@Arg('input', { description: 'Both passwords.' }) input: ChangePasswordInput, @Ctx() ctx: GraphQLContext): Promise<ChangePasswordPayload> {
    const { id, sessionId } = ctx.person;
    return { user: await this.service.change(id, sessionId, input, ctx.whence) };
  }

  @Mutation(() => RequestPasswordResetPayload, {
    nullable: true,
    description:
      'Have a link sent by mail with which to set a new password; the operator gets it instead.' +
      '\n\nPublic. Errors: `CONFLICT` where this server sends no mail; `RATE_LIMITED` after too many mails.',
  })
  async requestPasswordReset(@Arg('input', { description: 'Whose.' }) { email }: RequestPasswordResetInput, @Ctx() ctx: GraphQLContext): Promise<RequestPasswordResetPayload> {
    if (ctx.principal?.kind === 'OPERATOR') return { accepted: true, link: await this.service.resetLink(ctx.origin, email) };
    await this.service.requestReset(email, ctx.whence);
    return { accepted: true, link: null };
  }

  @Mutation(() => ResetPasswordPayload, {
    nullable: true,
    description:
      'Set a new password by a link, once, and end every session and every consent: applications that were let in by whoever knew the old one act no longer. It signs nobody in.' +
      '\n\nPublic. Errors: `NOT_FOUND` for any link that does not work; `SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async resetPassword(@Arg('input', { description: 'The link and the password.' }) input: ResetPasswordInput, @Ctx() ctx: GraphQLContext): Promise<ResetPasswordPayload> {
    ctx.keepDevice(await this.service.reset(input, ctx.whence, ctx.held.device));
    return { changed: true };
  }
}
