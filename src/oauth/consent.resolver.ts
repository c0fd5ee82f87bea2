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

@InputType({ description: 'Which consent ends.' })
class WithdrawConsentInput {
  @Field(() => ID, { description: 'Which consent.' })
  id: string;
}

@ObjectType({ description: 'What `withdrawConsent` ended.' })
class WithdrawConsentPayload {
  @Field({ description: 'The consent, which has ended.' })
  consent: Consent;
}

@Resolver(() => Consent)
export class ConsentResolver {
  constructor(private readonly service: ConsentService) {}

  @FieldResolver(() => String, { description: 'What the application is called.' })
  async clientName(@Root() { clientId }: Consent, @Ctx() ctx: GraphQLContext): Promise<string> {
    return (await ctx.need(by(OAuthClient), clientId)).name;
  }

  @FieldResolver(() => Person, { description: 'Whom the application may act for.' })
  user(@Root() { userId }: Consent, @Ctx() ctx: GraphQLContext): Promise<Person> {
    return ctx.need(by(Person), userId);
  }

  @FieldResolver(() => Project, { nullable: true, description: 'In which project; null for who may not know of it any more.' })
  project(@Root() { projectId }: Consent, @Ctx() ctx: GraphQLContext): Promise<Project | null> {
    return ctx.seen(by(Project), projectId);
  }

  @Mutation(() => WithdrawConsentPayload, {
    nullable: true,
    description:
      'Let an application act no longer in a project: this consent ends, every other one that the same person gave it there, and all tokens that came of them, at once and on every node. ' +
      'Repeated, it answers the same and changes nothing.' +
      '\n\nOnly for people who have signed in. Errors: `NOT_FOUND` where it is not theirs.',
  })
  async withdrawConsent(@Arg('input', { description: 'Which consent.' }) { id }: WithdrawConsentInput, @Ctx() ctx: GraphQLContext): Promise<WithdrawConsentPayload> {
    if (ctx.caller.kind !== 'USER') notFound(); // nobody else has any
    return { consent: await this.service.withdraw(ctx.origin, id) };
  }
}

@Resolver(() => Viewer)
export class ViewerConsentsResolver {
  @FieldResolver(() => ConsentConnection, { description: 'What a person has let applications do and goes on, newest first; nothing for others.' })
  async consents(@Root() { id }: Viewer, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<Consent>> {
    return ctx.page(CONSENTS_OF_PERSON, id, { now: await ctx.now() }, page);
  }
}

@Resolver(() => OAuthClient)
export class OAuthClientConsentsResolver {
  @FieldResolver(() => ConsentConnection, { nullable: true, description: 'What people have let it do and goes on, newest first. Takes `read.members`.' })
  async consents(@Root() client: OAuthClient, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<Consent>> {
    ctx.require('read.members', client);
    return ctx.page(CONSENTS_FOR_CLIENT, client.id, { now: await ctx.now() }, page);
  }
}
