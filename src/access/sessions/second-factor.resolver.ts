import { Arg, Ctx, Field, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { GraphQLContext } from '../../graphql/context';
import { MaxItems } from '../../lib/graphql-types';
import { Person } from '../people/person.entity';
import { RECOVERY_CODES } from './recovery-codes';
import { SecondFactorService } from './second-factor.service';

@InputType({ description: 'Proofs that the caller may set up a second factor.' })
class BeginSecondFactorInput {
  @Field({ description: 'The password of the caller.' })
  password: string;

  @Field(() => String, {
    nullable: true,
    description: 'Needed if a second factor is on: the code of the authenticator, or a recovery code.',
  })
  code?: string | null;
}

@InputType({ description: 'A proof that the authenticator has the secret.' })
class ConfirmSecondFactorInput {
  @Field({ description: 'The code that the authenticator shows: six digits.' })
  code: string;
}

@InputType({ description: 'Proofs that the caller may remove the second factor.' })
class RemoveSecondFactorInput {
  @Field({ description: 'The password of the caller.' })
  password: string;

  @Field({ description: 'The code of the authenticator, or a recovery code.' })
  code: string;
}

@ObjectType({ description: 'The result of `beginSecondFactor`. `confirmSecondFactor` turns the second factor on.' })
class BeginSecondFactorPayload {
  @Field({ description: 'The secret in base 32, to type into an authenticator. It is shown only here.' })
  secret: string;

  @Field({ description: 'The secret as an `otpauth://` address, to show as a QR code.' })
  uri: string;
}

@ObjectType({ description: 'The result of `confirmSecondFactor`.' })
class ConfirmSecondFactorPayload {
  @Field({ description: 'The person.' })
  user: Person;

  @MaxItems(RECOVERY_CODES)
  @Field(() => [String], { description: 'Codes for a lost authenticator. Each works once. They are shown only here.' })
  recoveryCodes: string[];
}

@ObjectType({ description: 'The result of `removeSecondFactor`.' })
class RemoveSecondFactorPayload {
  @Field({ description: 'The person.' })
  user: Person;
}

@Resolver()
export class SecondFactorResolver {
  constructor(private readonly service: SecondFactorService) {}

  @Mutation(() => BeginSecondFactorPayload, {
    nullable: true,
    description:
      'Get a new secret for an authenticator. If a second factor is on already, give a code of it. It stays on until ' +
      '`confirmSecondFactor` replaces it.' +
      '\n\nOnly for people who have signed in. Errors: `UNAUTHENTICATED` for a wrong password or code; `RATE_LIMITED` after too many ' +
      'tries; `SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async beginSecondFactor(
    @Arg('input', { description: 'The password, and a code if needed.' }) input: BeginSecondFactorInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<BeginSecondFactorPayload> {
    return this.service.begin(ctx.person.id, input, ctx.whence);
  }

  @Mutation(() => ConfirmSecondFactorPayload, {
    nullable: true,
    description:
      'Turn the second factor on. It replaces an earlier one. From now on every sign-in needs a code of it. Ends all other sessions.' +
      '\n\nOnly for people who have signed in. Errors: `CONFLICT` if `beginSecondFactor` was not called before; ' +
      '`INVALID_REQUEST` for a wrong code; `RATE_LIMITED` after too many tries.',
  })
  async confirmSecondFactor(
    @Arg('input', { description: 'A code of the new secret.' }) { code }: ConfirmSecondFactorInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<ConfirmSecondFactorPayload> {
    const { person: user, recoveryCodes } = await this.service.confirm(ctx.person, code, ctx.whence);
    return { user, recoveryCodes };
  }

  @Mutation(() => RemoveSecondFactorPayload, {
    nullable: true,
    description:
      'Turn the second factor off.' +
      '\n\nOnly for people who have signed in. Errors: `UNAUTHENTICATED` for a wrong password or code; `CONFLICT` if no second factor is ' +
      'on, or if one of their workspaces requires it; `RATE_LIMITED` after too many tries; ' +
      '`SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async removeSecondFactor(
    @Arg('input', { description: 'The password and a code.' }) input: RemoveSecondFactorInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<RemoveSecondFactorPayload> {
    return { user: await this.service.remove(ctx.person.id, input, ctx.whence) };
  }
}
