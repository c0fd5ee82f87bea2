import type { EntityManager } from 'typeorm';
import { Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../../graphql/context';
import { MaxItems } from '../../lib/graphql-types';
import { MAX_MEMBERSHIPS_SHOWN, membershipsOf } from '../people/member.queries';
import { Membership } from '../people/membership.entity';
import { Person } from '../people/person.entity';
import { Viewer } from '../viewer';
import { Session } from './session.entity';
import { MAX_SESSIONS, SessionService } from './session.service';

/** Fields of Viewer for people. They are empty for other callers. */
@Resolver(() => Viewer)
export class ViewerPersonResolver {
  constructor(
    private readonly reader: EntityManager,
    private readonly service: SessionService,
  ) {}

  @FieldResolver(() => String, { nullable: true, description: 'The e-mail address of a person, or null for other callers.' })
  async email(@Root() { actorId }: Viewer, @Ctx() ctx: GraphQLContext): Promise<string | null> {
    return (await ctx.load(by(Person), actorId))?.email ?? null;
  }

  @FieldResolver(() => Boolean, { description: 'Whether a sign-in of this person needs a code in addition to the password.' })
  async secondFactorEnabled(@Root() { actorId }: Viewer, @Ctx() ctx: GraphQLContext): Promise<boolean> {
    return (await ctx.load(by(Person), actorId))?.secondFactorEnabled ?? false;
  }

  @MaxItems(MAX_MEMBERSHIPS_SHOWN)
  @FieldResolver(() => [Membership], { description: 'The memberships of a person, oldest first; at most 200.' })
  memberships(@Root() { actorId }: Viewer): Promise<Membership[]> {
    return membershipsOf(this.reader, actorId);
  }

  @MaxItems(MAX_SESSIONS)
  @FieldResolver(() => [Session], { description: 'The live sessions of a person, newest first; at most 100.' })
  sessions(@Root() { actorId }: Viewer): Promise<Session[]> {
    return this.service.list(actorId);
  }
}

@Resolver(() => Session)
export class SessionResolver {
  @FieldResolver(() => Boolean, { description: 'Whether this request uses it.' })
  current(@Root() { id }: Session, @Ctx() { principal }: GraphQLContext): boolean {
    return principal?.kind === 'USER' && principal.sessionId === id;
  }
}
