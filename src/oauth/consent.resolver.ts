import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { Person } from '../access/people/person.entity';
import { Viewer } from '../access/viewer';
import { notFound } from '../errors';
import { GraphQLContext, by } from '../graphql/context';
import { connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { Project } from '../tenancy/project.entity';
import { OAuthClient } from './client.entity';
import { Consent } from './consent.entity';
import { ConsentService } from './consent.service';
import { CONSENTS_FOR_CLIENT, CONSENTS_OF_PERSON } from './consent.queries';

const ConsentConnection = connectionOf(Consent, 'Consent');

const CONSENTS_OF_VIEWER = 'The active consents that this person has given, newest first. Empty for other callers.';
const CONSENTS_OF_APPLICATION = 'Active consents to this application, newest first. Requires `read.members`.';

@InputType({ description: 'The consent to withdraw.' })
class WithdrawConsentInput {
  @Field(() => ID, { description: 'Id of the consent.' })
  id: string;
}

@ObjectType({ description: 'Result of `withdrawConsent`.' })
class WithdrawConsentPayload {
  @Field({ description: 'The withdrawn consent.' })
  consent: Consent;
}

@Resolver(() => Consent)
export class ConsentResolver {
  constructor(private readonly service: ConsentService) {}

  @FieldResolver(() => String, { description: 'Name of the application.' })
  async clientName(@Root() { clientId }: Consent, @Ctx() ctx: GraphQLContext): Promise<string> {
    return (await ctx.need(by(OAuthClient), clientId)).name;
  }

  @FieldResolver(() => Person, { description: 'The person that the application may act for.' })
  user(@Root() { userId }: Consent, @Ctx() ctx: GraphQLContext): Promise<Person> {
    return ctx.need(by(Person), userId);
  }

  @FieldResolver(() => Project, { nullable: true, description: 'The project. Null if the caller may no longer see it.' })
  project(@Root() { projectId }: Consent, @Ctx() ctx: GraphQLContext): Promise<Project | null> {
    return ctx.seen(by(Project), projectId);
  }

  @Mutation(() => WithdrawConsentPayload, {
    nullable: true,
    description:
      'Stop an application from acting for you in a project. Ends this consent, all your other consents to the same application in the ' +
      'same project, and all tokens issued for them, at once and on every node. Idempotent: a second call changes nothing.' +
      '\n\nOnly for people who have signed in. Errors: `NOT_FOUND` if the consent is not yours.',
  })
  async withdrawConsent(
    @Arg('input', { description: 'The consent.' }) { id }: WithdrawConsentInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<WithdrawConsentPayload> {
    if (ctx.caller.kind !== 'USER') notFound(); // only people have consents
    return { consent: await this.service.withdraw(ctx.origin, id) };
  }
}

@Resolver(() => Viewer)
export class ViewerConsentsResolver {
  @FieldResolver(() => ConsentConnection, { description: CONSENTS_OF_VIEWER })
  async consents(@Root() { actorId }: Viewer, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<Consent>> {
    return ctx.page(CONSENTS_OF_PERSON, actorId, { now: await ctx.now() }, page);
  }
}

@Resolver(() => OAuthClient)
export class OAuthClientConsentsResolver {
  @FieldResolver(() => ConsentConnection, { nullable: true, description: CONSENTS_OF_APPLICATION })
  async consents(@Root() client: OAuthClient, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<Consent>> {
    ctx.require('read.members', client);
    return ctx.page(CONSENTS_FOR_CLIENT, client.id, { now: await ctx.now() }, page);
  }
}
