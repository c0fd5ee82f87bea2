import { Arg, Ctx, Field, ID, InputType, Mutation, ObjectType, Resolver } from 'type-graphql';
import { GraphQLContext } from '../../graphql/context';
import { notFound } from '../../errors';
import { MaxItems } from '../../lib/graphql-types';
import { Viewer, viewerOf } from '../viewer';
import { Session } from './session.entity';
import { MAX_SESSIONS_SHOWN, SessionService } from './session.service';
import { SignInService } from './sign-in.service';

@InputType({ description: 'Who signs in.' })
class SignInInput {
  @Field({ description: 'Their e-mail address, in any case: `ada@example.com`.' })
  email: string;

  @Field({ description: 'Their password.' })
  password: string;

  @Field(() => String, { nullable: true, description: 'Where a second factor is in force: what the authenticator shows, or a recovery code.' })
  code?: string | null;
}

@InputType({ description: 'Which session ends.' })
class EndSessionInput {
  @Field(() => ID, { description: 'Which session.' })
  id: string;
}

@ObjectType({ description: 'What `signIn` came to. The session is in a cookie.' })
class SignInPayload {
  @Field(() => Viewer, { nullable: true, description: 'Who has signed in; null where a code is wanted.' })
  viewer: Viewer | null;

  @Field({ description: 'Whether the password is right and a code is wanted: sign in again, with both.' })
  secondFactorRequired: boolean;
}

@ObjectType({ description: 'What `signOut` ended.' })
class SignOutPayload {
  @Field({ description: 'The session, which has ended.' })
  session: Session;
}

@ObjectType({ description: 'What `signOutEverywhere` ended.' })
class SignOutEverywherePayload {
  @MaxItems(MAX_SESSIONS_SHOWN)
  @Field(() => [Session], { description: 'The sessions, which have ended; this one among them.' })
  sessions: Session[];
}

@ObjectType({ description: 'What `endSession` ended.' })
class EndSessionPayload {
  @Field({ description: 'The session, which has ended.' })
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
      'Begin a session, kept in a cookie; the one that the cookie held before ends.' +
      '\n\nPublic. Errors: `UNAUTHENTICATED` in the same words whatever is wrong; `RATE_LIMITED` after too many tries; `SERVICE_UNAVAILABLE` while too many passwords are being checked.',
  })
  async signIn(@Arg('input', { description: 'Who signs in.' }) input: SignInInput, @Ctx() ctx: GraphQLContext): Promise<SignInPayload> {
    const session = await this.service.signIn(input, ctx.whence, ctx.held);
    return { viewer: session && viewerOf(await ctx.signedIn(session)), secondFactorRequired: session === null };
  }

  @Mutation(() => SignOutPayload, {
    nullable: true,
    description:
      'End this session, at once and on every node.' +
      '\n\nFor who has signed in. No errors of its own.',
  })
  async signOut(@Ctx() ctx: GraphQLContext): Promise<SignOutPayload> {
    const session = await this.sessions.end(ctx.personOrigin, ctx.person.sessionId);
    ctx.signedOut();
    return { session };
  }

  @Mutation(() => SignOutEverywherePayload, {
    nullable: true,
    description:
      'End all sessions of whoever asks, at once and on every node. What applications were let do goes on: see `Viewer.consents`.' +
      '\n\nFor who has signed in. No errors of its own.',
  })
  async signOutEverywhere(@Ctx() ctx: GraphQLContext): Promise<SignOutEverywherePayload> {
    const sessions = await this.sessions.endAll(ctx.personOrigin);
    ctx.signedOut();
    return { sessions };
  }

  @Mutation(() => EndSessionPayload, {
    nullable: true,
    description:
      'End one session of whoever asks, at once and on every node.' +
      '\n\nFor who has signed in. Errors: `NOT_FOUND` where it is not theirs, or has ended.',
  })
  async endSession(@Arg('input', { description: 'Which session.' }) { id }: EndSessionInput, @Ctx() ctx: GraphQLContext): Promise<EndSessionPayload> {
    const caller = ctx.caller.kind === 'USER' ? ctx.caller : notFound(); // nobody else has any
    const session = await this.sessions.end(ctx.origin, id);
    if (id === caller.sessionId) ctx.signedOut();
    return { session };
  }
}
