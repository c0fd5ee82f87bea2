import { Arg, Ctx, Field, ID, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { GraphQLContext } from '../../graphql/context';
import { notFound } from '../../errors';
import { MaxItems } from '../../lib/graphql-types';
import { Viewer, viewerOf } from '../viewer';
import { Session } from './session.entity';
import { MAX_SESSIONS, SessionService } from './session.service';
import { SignInService } from './sign-in.service';

@InputType({ description: 'The e-mail address and the password of a person.' })
class SignInInput {
  @Field({ description: 'Their e-mail address, such as `ada@example.com`. Upper and lower case are equal.' })
  email: string;

  @Field({ description: 'Their password.' })
  password: string;

  @Field(() => String, {
    nullable: true,
    description: 'Needed if a second factor is on: the code of the authenticator, or a recovery code.',
  })
  code?: string | null;
}

@InputType({ description: 'The session to end.' })
class EndSessionInput {
  @Field(() => ID, { description: 'The session.' })
  id: string;
}

@ObjectType({ description: 'The result of `signIn`. The answer sets the session cookie.' })
class SignInPayload {
  @Field(() => Viewer, { nullable: true, description: 'The person who has signed in. Null if a code is needed.' })
  viewer: Viewer | null;

  @Field({ description: 'Whether the password is right and a code is needed. Sign in again with both.' })
  secondFactorRequired: boolean;
}

@ObjectType({ description: 'The result of `signOut`.' })
class SignOutPayload {
  @Field({ description: 'The ended session.' })
  session: Session;
}

@ObjectType({ description: 'The result of `signOutEverywhere`.' })
class SignOutEverywherePayload {
  @MaxItems(MAX_SESSIONS)
  @Field(() => [Session], { description: 'The ended sessions, including this one.' })
  sessions: Session[];
}

@ObjectType({ description: 'The result of `endSession`.' })
class EndSessionPayload {
  @Field({ description: 'The ended session.' })
  session: Session;
}

@Resolver()
export class SignInResolver {
  constructor(
    private readonly service: SignInService,
    private readonly sessions: SessionService,
  ) {}

  @Mutation(() => SignInPayload, {
    nullable: true,
    description:
      'Sign in: begin a session and set its cookie. An earlier session of the same browser ends.' +
      '\n\nPublic. Errors: `UNAUTHENTICATED` if anything is wrong, always with the same message; `RATE_LIMITED` after too many tries; ' +
      '`SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async signIn(
    @Arg('input', { description: 'The e-mail address, the password and the code.' }) input: SignInInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<SignInPayload> {
    const session = await this.service.signIn(input, ctx.whence, ctx.held);
    return { viewer: session && viewerOf(await ctx.signedIn(session)), secondFactorRequired: session === null };
  }

  @Mutation(() => SignOutPayload, {
    nullable: true,
    description:
      'End the session of the caller, at once and on every node.' +
      '\n\nOnly for people who have signed in. Errors: only those that any mutation can have.',
  })
  async signOut(@Ctx() ctx: GraphQLContext): Promise<SignOutPayload> {
    const session = await this.sessions.end(ctx.personOrigin, ctx.person.sessionId);
    ctx.signedOut();
    return { session };
  }

  @Mutation(() => SignOutEverywherePayload, {
    nullable: true,
    description:
      'End all sessions of the caller, at once and on every node. Consents for applications stay: see `Viewer.consents`.' +
      '\n\nOnly for people who have signed in. Errors: only those that any mutation can have.',
  })
  async signOutEverywhere(@Ctx() ctx: GraphQLContext): Promise<SignOutEverywherePayload> {
    const sessions = await this.sessions.endAll(ctx.personOrigin);
    ctx.signedOut();
    return { sessions };
  }

  @Mutation(() => EndSessionPayload, {
    nullable: true,
    description:
      'End one session of the caller, at once and on every node.' +
      '\n\nOnly for people who have signed in. Errors: `NOT_FOUND` if the session is not theirs or has ended.',
  })
  async endSession(
    @Arg('input', { description: 'The session.' }) { id }: EndSessionInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<EndSessionPayload> {
    const caller = ctx.caller.kind === 'USER' ? ctx.caller : notFound(); // only people have sessions
    const session = await this.sessions.end(ctx.origin, id);
    if (id === caller.sessionId) ctx.signedOut();
    return { session };
  }
}
