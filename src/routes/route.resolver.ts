import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { Action } from '../actions/action.entity';
import { GraphQLContext, by } from '../graphql/context';
import { connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/version-descriptions';
import { DEFAULT_IDLE_TIMEOUT_MS, DEFAULT_MAX_BODY_BYTES, DEFAULT_MAX_DURATION_MS } from './limits';
import {
  BILLED_STATUSES,
  ENABLED,
  HOST,
  IDLE_TIMEOUT_MS,
  MAX_BODY_BYTES,
  MAX_DURATION_MS,
  METHODS,
  PASS_CREDENTIAL,
  PASS_PREFLIGHT,
  PATH,
  POINTER,
  REPLAYABLE,
  Route,
  UNIT,
  UPSTREAM_PATH,
  UPSTREAM_URL,
  USAGE,
} from './route.entity';
import { ROUTES, RouteFilter } from './route.queries';
import { RouteService } from './route.service';

const RouteConnection = connectionOf(Route, 'Route');

const ACTION = 'The action that prices the requests. Its permission is the permission that a key needs.';

@InputType({ description: 'Where an answer has the quantity of a unit.' })
class UsageSourceInput {
  @Field({ description: UNIT })
  unit: string;

  @Field({ description: POINTER })
  pointer: string;
}

@InputType({ description: 'A new route.' })
class CreateRouteInput {
  @Field(() => String, { nullable: true, description: HOST })
  host?: string | null;

  @Field(() => [String], { defaultValue: [], description: METHODS })
  methods: string[];

  @Field(() => String, { description: PATH })
  path: string;

  @Field(() => ID, { description: ACTION })
  actionId: string;

  @Field(() => String, { description: UPSTREAM_URL })
  upstreamUrl: string;

  @Field(() => String, { nullable: true, description: UPSTREAM_PATH })
  upstreamPath?: string | null;

  @Field(() => [String], { defaultValue: ['2xx'], description: BILLED_STATUSES })
  billedStatuses: string[];

  @Field(() => [UsageSourceInput], { defaultValue: [], description: USAGE })
  usage: UsageSourceInput[];

  @Field(() => Boolean, { defaultValue: false, description: REPLAYABLE })
  replayable: boolean;

  @Field(() => Boolean, { defaultValue: false, description: PASS_CREDENTIAL })
  passCredential: boolean;

  @Field(() => Int, { defaultValue: DEFAULT_MAX_BODY_BYTES, description: MAX_BODY_BYTES })
  maxBodyBytes: number;

  @Field(() => Int, { defaultValue: DEFAULT_IDLE_TIMEOUT_MS, description: IDLE_TIMEOUT_MS })
  idleTimeoutMs: number;

  @Field(() => Int, { defaultValue: DEFAULT_MAX_DURATION_MS, description: MAX_DURATION_MS })
  maxDurationMs: number;

  @Field(() => Boolean, { defaultValue: false, description: PASS_PREFLIGHT })
  passPreflight: boolean;

  @Field(() => Boolean, { defaultValue: true, description: ENABLED })
  enabled: boolean;
}

@InputType({ description: 'Changes of a route. An absent field keeps its value.' })
class UpdateRouteInput {
  @Field(() => ID, { description: 'The route.' })
  id: string;

  @Field(() => String, { nullable: true, description: HOST })
  host?: string | null;

  @Field(() => [String], { nullable: true, description: METHODS })
  methods?: string[];

  @Field(() => String, { nullable: true, description: PATH })
  path?: string;

  @Field(() => ID, { nullable: true, description: ACTION })
  actionId?: string;

  @Field(() => String, { nullable: true, description: UPSTREAM_URL })
  upstreamUrl?: string;

  @Field(() => String, { nullable: true, description: UPSTREAM_PATH })
  upstreamPath?: string | null;

  @Field(() => [String], { nullable: true, description: BILLED_STATUSES })
  billedStatuses?: string[];

  @Field(() => [UsageSourceInput], { nullable: true, description: USAGE })
  usage?: UsageSourceInput[];

  @Field(() => Boolean, { nullable: true, description: REPLAYABLE })
  replayable?: boolean;

  @Field(() => Boolean, { nullable: true, description: PASS_CREDENTIAL })
  passCredential?: boolean;

  @Field(() => Int, { nullable: true, description: MAX_BODY_BYTES })
  maxBodyBytes?: number;

  @Field(() => Int, { nullable: true, description: IDLE_TIMEOUT_MS })
  idleTimeoutMs?: number;

  @Field(() => Int, { nullable: true, description: MAX_DURATION_MS })
  maxDurationMs?: number;

  @Field(() => Boolean, { nullable: true, description: PASS_PREFLIGHT })
  passPreflight?: boolean;

  @Field(() => Boolean, { nullable: true, description: ENABLED })
  enabled?: boolean;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'The route to delete.' })
class DeleteRouteInput {
  @Field(() => ID, { description: 'The route.' })
  id: string;
}

@ObjectType({ description: 'The result of `createRoute`.' })
class CreateRoutePayload {
  @Field({ description: 'The new route.' })
  route: Route;
}

@ObjectType({ description: 'The result of `updateRoute`.' })
class UpdateRoutePayload {
  @Field({ description: 'The route after the change.' })
  route: Route;
}

@ObjectType({ description: 'The result of `deleteRoute`.' })
class DeleteRoutePayload {
  @Field({ description: 'The deleted route.' })
  route: Route;
}

@Resolver(() => Route)
export class RouteResolver {
  constructor(private readonly service: RouteService) {}

  @Query(() => RouteConnection, { nullable: true, description: 'Operator only. The routes of the installation, newest first.' })
  async routes(
    @Args() page: PageArgs,
    @Arg('filter', () => RouteFilter, { nullable: true, description: 'Selects routes.' }) filter: RouteFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<Route>> {
    ctx.requireOperator();
    return ctx.page(ROUTES, 'all', filter ?? {}, page);
  }

  @FieldResolver(() => Action, { description: ACTION })
  action(@Root() { actionId }: Route, @Ctx() ctx: GraphQLContext): Promise<Action> {
    return ctx.need(by(Action), actionId);
  }

  @Mutation(() => CreateRoutePayload, {
    nullable: true,
    description:
      'Put Tollgate in front of an API. Every node knows the route within a second.' +
      '\n\nOperator only. Errors: `NOT_FOUND` if the action does not exist; `CONFLICT` if another route matches the same requests, or if ' +
      'there are already 1,000 routes.',
  })
  async createRoute(
    @Arg('input', { description: 'The new route.' }) input: CreateRouteInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<CreateRoutePayload> {
    return { route: await this.service.create(ctx.operatorOrigin, input) };
  }

  @Mutation(() => UpdateRoutePayload, {
    nullable: true,
    description:
      'Change a route.' +
      '\n\nOperator only. Errors: `NOT_FOUND`; `CONFLICT` if another route matches the same requests, or if `expectedVersion` is not the ' +
      'current version.',
  })
  async updateRoute(
    @Arg('input', { description: 'The changes.' }) input: UpdateRouteInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateRoutePayload> {
    return { route: await this.service.update(ctx.operatorOrigin, input) };
  }

  @Mutation(() => DeleteRoutePayload, {
    nullable: true,
    description: 'Delete a route permanently. To stop it for a while, disable it.\n\nOperator only. Errors: `NOT_FOUND`.',
  })
  async deleteRoute(
    @Arg('input', { description: 'The route.' }) input: DeleteRouteInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<DeleteRoutePayload> {
    return { route: await this.service.delete(ctx.operatorOrigin, input) };
  }
}
