import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { mayOperate } from '../access/policies';
import { Permission } from '../access/permissions';
import { GraphQLContext } from '../graphql/context';
import { MaxItems, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { MicroCredits } from '../lib/scalars';
import { EXPECTED_VERSION } from '../lib/version-descriptions';
import { Action, MAX_CHARGE, PASS_STATUSES } from './action.entity';
import { ACTIONS, ActionFilter } from './action.queries';
import { ActionService } from './action.service';
import { UnitPriceInput } from './unit-prices';

const ActionConnection = connectionOf(Action, 'Action');

@InputType({ description: 'A new action.' })
class CreateActionInput {
  @Field({ description: '1 to 63 characters of a-z, 0-9 and -; the first is a letter. Reserved path segments are refused.' })
  service: string;

  @Field({ description: '1 to 128 letters, digits, _, . and -; the first is a letter. Unique in its service.' })
  name: string;

  @Field(() => MicroCredits, { description: 'The flat price of one successful call: zero or more.' })
  priceMicroCredits: number;

  @Field(() => [UnitPriceInput], { defaultValue: [], description: 'Prices for the quantities that the action reports: at most 20.' })
  unitPrices: UnitPriceInput[];

  @Field(() => MicroCredits, { nullable: true, description: MAX_CHARGE })
  maxChargeMicroCredits?: number | null;

  @Field({
    description:
      'The permission that a key needs to run it, such as `face.detect`. It cannot be an administrative permission, `openid`, ' +
      '`profile`, `email` or `offline_access`.',
  })
  permission: string;

  @Field(() => String, {
    nullable: true,
    description:
      'The URL that `execute` sends calls to: http or https, such as `https://upstream.example/actions`. Leave it out for an action ' +
      'that callers reach in another way.',
  })
  upstreamUrl?: string | null;

  @Field(() => Int, { defaultValue: 30_000, description: 'The time limit: 100 to 300,000 milliseconds.' })
  timeoutMs: number;

  @Field(() => [Int], { defaultValue: [], description: PASS_STATUSES })
  passStatuses: number[];
}

@InputType({ description: 'Changes of an action. An absent field keeps its value.' })
class UpdateActionInput {
  @Field(() => ID, { description: 'The action.' })
  id: string;

  @Field(() => MicroCredits, { nullable: true, description: 'The new flat price. Applies from the next call.' })
  priceMicroCredits?: number;

  @Field(() => [UnitPriceInput], { nullable: true, description: 'The new prices of units, instead of all present ones.' })
  unitPrices?: UnitPriceInput[];

  @Field(() => MicroCredits, { nullable: true, description: `${MAX_CHARGE} Null removes it.` })
  maxChargeMicroCredits?: number | null;

  @Field(() => String, { nullable: true, description: 'The permission that a key needs from now on.' })
  permission?: string;

  @Field(() => String, { nullable: true, description: 'The new URL that calls are sent to. A built-in action has none.' })
  upstreamUrl?: string;

  @Field(() => Int, { nullable: true, description: 'The time limit: 100 to 300,000 milliseconds.' })
  timeoutMs?: number;

  @Field(() => [Int], { nullable: true, description: PASS_STATUSES })
  passStatuses?: number[];

  @Field(() => Boolean, { nullable: true, description: 'Whether calls may run it.' })
  enabled?: boolean;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@ObjectType({ description: 'The result of `createAction`.' })
class CreateActionPayload {
  @Field({ description: 'The new action.' })
  action: Action;
}

@ObjectType({ description: 'The result of `updateAction`.' })
class UpdateActionPayload {
  @Field({ description: 'The action after the change.' })
  action: Action;
}

/**
 * The number of permissions that the estimated price of the list assumes. There is at most one for each action. If there are more, the
 * caller pays for the others when they are answered.
 */
const EXPECTED_PERMISSIONS = 1_000;

@Resolver(() => Action)
export class ActionResolver {
  constructor(private readonly service: ActionService) {}

  @Query(() => ActionConnection, { description: 'The catalogue of billable actions, ordered by service and name.' })
  actions(
    @Args() page: PageArgs,
    @Arg('filter', () => ActionFilter, { nullable: true, description: 'Selects actions.' }) filter: ActionFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<Action>> {
    return ctx.page(ACTIONS, 'all', filter ?? {}, page);
  }

  @MaxItems(EXPECTED_PERMISSIONS)
  @Query(() => [Permission], { description: 'All permissions that a key, a role or a service account can have.' })
  permissions(): Promise<Permission[]> {
    return this.service.permissions();
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'The URL that calls are sent to. Null for a built-in action, and for any caller other than the operator.',
  })
  upstreamUrl(@Root() action: Action, @Ctx() ctx: GraphQLContext): string | null {
    return mayOperate(ctx.caller) ? action.upstreamUrl : null;
  }

  @Mutation(() => CreateActionPayload, {
    nullable: true,
    description:
      'Add an action to the catalogue. Calls may run it at once.' +
      '\n\nOperator only. Errors: `CONFLICT` if its service has an action with this name.',
  })
  async createAction(
    @Arg('input', { description: 'The new action.' }) input: CreateActionInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<CreateActionPayload> {
    return { action: await this.service.create(ctx.operatorOrigin, input) };
  }

  @Mutation(() => UpdateActionPayload, {
    nullable: true,
    description:
      'Change an action. A new price applies from the next call.' +
      '\n\nOperator only. Errors: `NOT_FOUND`; `CONFLICT` if `expectedVersion` is not the current version.',
  })
  async updateAction(
    @Arg('input', { description: 'The changes.' }) input: UpdateActionInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateActionPayload> {
    return { action: await this.service.update(ctx.operatorOrigin, input) };
  }
}
