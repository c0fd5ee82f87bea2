import { Arg, Ctx, Field, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { GraphQLContext } from '../../graphql/context';
import { MaxItems } from '../../lib/graphql-types';
import { Person } from '../people/person.entity';
import { RECOVERY_CODES } from './recovery-codes';
import { SecondFactorService } from './second-factor.service';

@InputType({ description: 'Who wants a second factor.' })
class BeginSecondFactorInput {
  @Field({ description: 'The password of whoever asks.' })
  password: string;

  @Field(() => String, { nullable: true, description: 'Where a second factor is in force: what the authenticator shows, or a recovery code.' })
  code?: string | null;
}

@InputType({ description: 'Proves that an authenticator has the secret.' })
class ConfirmSecondFactorInput {
  @Field({ description: 'What the authenticator shows: six digits.' })
  code: string;
}

@InputType({ description: 'Who no longer wants a second factor.' })
class RemoveSecondFactorInput {
  @Field({ description: 'The password of whoever asks.' })
  password: string;

  @Field({ description: 'What the authenticator shows, or a recovery code.' })
  code: string;
}

@ObjectType({ description: 'What `beginSecondFactor` made: in force once `confirmSecondFactor` has been given a code.' })
class BeginSecondFactorPayload {
  @Field({ description: 'The secret in base 32, to be typed into an authenticator; here and nowhere else, ever.' })
  secret: string;

  @Field({ description: 'The same as an `otpauth://` address, to be shown as a QR code.' })
  uri: string;
}

@ObjectType({ description: 'What `confirmSecondFactor` put in force.' })
class ConfirmSecondFactorPayload {
  @Field({ description: 'Whose it is.' })
  user: Person;

  @MaxItems(RECOVERY_CODES)
  @Field(() => [String], { description: 'Codes that work once each where the authenticator is lost; here and nowhere else, ever.' })
  recoveryCodes: string[];
}

@ObjectType({ description: 'What `removeSecondFactor` took away.' })
class RemoveSecondFactorPayload {
  @Field({ description: 'Whose it was.' })
  user: Person;
}

@Resolver()
export class SecondFactorResolver {
  constructor(private readonly service: SecondFactorService) {}

  @Mutation(() => BeginSecondFactorPayload, {
    nullable: true,
    description:
      'Get a secret for an authenticator: a second factor, or another one in the place of that in force, which takes a code as well.' +
      '\n\nFor who has signed in. Errors: `UNAUTHENTICATED` for a wrong password or code; `RATE_LIMITED` after too many tries; `SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async beginSecondFactor(@Arg('input', { description: 'Proofs of who asks.' }) input: BeginSecondFactorInput, @Ctx() ctx: GraphQLContext): Promise<BeginSecondFactorPayload> {
    return this.service.begin(ctx.person.id, input, ctx.whence);
  }

  @Mutation(() => ConfirmSecondFactorPayload, {
    nullable: true,
    description:
      'Put the second factor in force, in the place of an earlier one: every sign-in wants a code of it from now on. Ends every other session.' +
      '\n\nFor who has signed in. Errors: `CONFLICT` where none was begun; `INVALID_REQUEST` for a wrong code; `RATE_LIMITED` after too many tries.',
  })
  async confirmSecondFactor(@Arg('input', { description: 'A code.' }) { code }: ConfirmSecondFactorInput, @Ctx() ctx: GraphQLContext): Promise<ConfirmSecondFactorPayload> {
    const { person: user, recoveryCodes } = await this.service.confirm(ctx.person, code, ctx.whence);
    return { user, recoveryCodes };
  }

  @Mutation(() => RemoveSecondFactorPayload, {
    nullable: true,
    description:
      'Take the second factor away.' +
      '\n\nFor who has signed in. Errors: `UNAUTHENTICATED` for a wrong password or code; `CONFLICT` where there is none, or a workspace of theirs requires one; `RATE_LIMITED` after too many tries; `SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async removeSecondFactor(@Arg('input', { description: 'Both proofs of who asks.' }) input: RemoveSecondFactorInput, @Ctx() ctx: GraphQLContext): Promise<RemoveSecondFactorPayload> {
    return { user: await this.service.remove(ctx.person.id, input, ctx.whence) };
  }
}
