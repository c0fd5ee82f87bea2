import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { mayOperate } from '../access/policies';
import { Permission } from '../access/permissions';
import { GraphQLContext } from '../graphql/context';
import { connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { MicroCredits } from '../lib/scalars';
import { EXPECTED_VERSION } from '../lib/versions';
import { Action, PASS_STATUSES } from './action.entity';
import { ACTIONS, ActionFilter } from './action.queries';
import { ActionService } from './action.service';

const ActionConnection = connectionOf(Action, 'Action');

@InputType({ description: 'A new action.' })
class CreateActionInput {
  @Field({ description: '1 to 63 of a-z, 0-9 and -, a letter first; not one of the reserved path segments.' })
  service: string;

  @Field({ description: '1 to 128 of letters, digits, _, . and -, a letter first; unique in its service.' })
  name: string;

  @Field(() => MicroCredits, { description: 'Zero or more.' })
  priceMicroCredits: number;

  @Field({ description: 'What a key must be granted to run it, such as `face.detect`; not an administrative one, nor `openid`, `profile`, `email` or `offline_access`.' })
  permission: string;

  @Field({ description: 'Where calls are sent: http or https, such as `https://upstream.example/actions`.' })
  upstreamUrl: string;

  @Field(() => Int, { defaultValue: 30_000, description: '100 to 300,000 milliseconds.' })
  timeoutMs: number;

  @Field(() => [Int], { defaultValue: [], description: PASS_STATUSES })
  passStatuses: number[];
}

@InputType({ description: 'What is to change; an absent field keeps its value.' })
class UpdateActionInput {
  @Field(() => ID, { description: 'Which action.' })
  id: string;

  @Field(() => MicroCredits, { nullable: true, description: 'Counts from the next call.' })
  priceMicroCredits?: number;

  @Field(() => String, { nullable: true, description: 'What a key must be granted from now on.' })
  permission?: string;

  @Field(() => String, { nullable: true, description: 'Where calls are sent from now on; not for a built-in action.' })
  upstreamUrl?: string;

  @Field(() => Int, { nullable: true, description: '100 to 300,000 milliseconds.' })
  timeoutMs?: number;

  @Field(() => [Int], { nullable: true, description: PASS_STATUSES })
  passStatuses?: number[];

  @Field(() => Boolean, { nullable: true, description: 'Whether it can be called.' })
  enabled?: boolean;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@ObjectType({ description: 'What `createAction` made.' })
class CreateActionPayload {
  @Field({ description: 'The new action.' })
  action: Action;
}

@ObjectType({ description: 'What `updateAction` changed.' })
class UpdateActionPayload {
  @Field({ description: 'The action as it is now.' })
  action: Action;
}

@Resolver(() => Action)
export class ActionResolver {
  constructor(private readonly service: ActionService) {}

  @Query(() => ActionConnection, { description: 'The catalogue of billable actions, by service and name.' })
  actions(
    @Args() page: PageArgs,
    @Arg('filter', () => ActionFilter, { nullable: true, description: 'Which of them.' }) filter: ActionFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<Action>> {
    return ctx.page(ACTIONS, 'all', filter ?? {}, page);
  }

  @Query(() => [Permission], { description: 'Every permission that a key, role or service account can be granted.' })
  permissions(): Promise<Permission[]> {
    return this.service.permissions();
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'Where the call is sent; null for a built-in action, and for whoever is not the operator.',
  })
  upstreamUrl(@Root() action: Action, @Ctx() ctx: GraphQLContext): string | null {
    return mayOperate(ctx.caller) ? action.upstreamUrl : null;
  }

  @Mutation(() => CreateActionPayload, {
    nullable: true,
    description:
      'Add an action to the catalogue, open to calls at once.' +
      '\n\nOperator only. Errors: `CONFLICT` where its service has one of this name.',
  })
  async createAction(@Arg('input', { description: 'The new action.' }) input: CreateActionInput, @Ctx() ctx: GraphQLContext): Promise<CreateActionPayload> {
    return { action: await this.service.create(ctx.operatorOrigin, input) };
  }

  @Mutation(() => UpdateActionPayload, {
    nullable: true,
    description:
      'Change an action. A new price counts from the next call.' +
      '\n\nOperator only. Errors: `NOT_FOUND`; `CONFLICT` where `expectedVersion` is not the present one.',
  })
  async updateAction(@Arg('input', { description: 'What is to change.' }) input: UpdateActionInput, @Ctx() ctx: GraphQLContext): Promise<UpdateActionPayload> {
    return { action: await this.service.update(ctx.operatorOrigin, input) };
  }
}
