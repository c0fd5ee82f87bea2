import { Arg, Args, Ctx, Field, FieldResolver, Float, ID, ObjectType, Query, Resolver, Root, Subscription } from 'type-graphql';
import { GraphQLContext, by } from '../graphql/context';
import { ApiKey } from '../keys/key.entity';
import { MaxItems, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { MAX_UNITS } from '../lib/rules';
import { Consent } from '../oauth/consent.entity';
import { ServiceAccount } from '../service-accounts/service-account.entity';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { LedgerEntry } from '../wallet/ledger-entry.entity';
import { RequestLog } from './request-log.entity';
import { LogFeed, type Logged } from './request-log.feed';
import { REQUEST_LOGS, lastUsesOf, RequestLogFilter, type RequestLogScope } from './request-log.queries';

@ObjectType({ description: 'A quantity that a call used.' })
class UnitQuantity {
  @Field({ description: 'The unit, such as `input_tokens`.' })
  unit: string;

  @Field(() => Float, { description: 'The quantity: a whole number from 0 to 2^53 - 1.' })
  quantity: number;
}

const RequestLogConnection = connectionOf(RequestLog, 'RequestLog');

@ObjectType({ description: 'A call that was logged.' })
class RequestLogged implements Logged {
  @Field({ description: 'To continue after this event, pass it as `after` with the same arguments.' })
  cursor: string;

  @Field({ description: 'The call.' })
  requestLog: RequestLog;
}

interface RequestLoggedArgs {
  workspaceId: string;
  filter?: RequestLogFilter | null;
  after?: string | null;
}

@Resolver(() => RequestLog)
export class RequestLogResolver {
  @Subscription(() => RequestLogged, {
    description:
      'Sends each call of a workspace when it is logged, on any node. Requires `read.logs`. Pass the cursor of the last event as `after` ' +
      'to continue after it: no call is missed. If logs came out of order meanwhile, a few calls of the last 45 seconds can be sent ' +
      'again, with the same id. Without `after`, the stream begins with calls logged from now on. INVALID_REQUEST for a cursor of other ' +
      'arguments, and if the filter matches more than 50,000 calls in 45 seconds.',
    subscribe: ({ args, context }: { args: RequestLoggedArgs; context: GraphQLContext }) =>
      context.subscribe({
        allow: (ctx) => ctx.requireIn('read.logs', args.workspaceId),
        open: (database) =>
          LogFeed.open(database, { scope: { workspaceId: args.workspaceId }, filter: args.filter ?? {}, after: args.after }),
      }),
  })
  requestLogged(
    @Root() logged: RequestLogged,
    @Arg('workspaceId', () => ID, { description: 'Begins with `ws_`.' }) _workspaceId: string,
    @Arg('filter', () => RequestLogFilter, { nullable: true, description: 'Selects calls.' }) _filter: RequestLogFilter | null,
    @Arg('after', () => String, { nullable: true, description: 'The cursor of the last event that was received.' }) _after: string | null,
  ): RequestLogged {
    return logged;
  }

  @Query(() => RequestLog, {
    nullable: true,
    description: 'The call with this log id, or null if it does not exist or the caller may not see it. Requires `read.logs`.',
  })
  requestLog(
    @Arg('id', () => ID, { description: 'Begins with `log_`.' }) id: string,
    @Ctx() ctx: GraphQLContext,
  ): Promise<RequestLog | null> {
    return ctx.seen(by(RequestLog), id, 'read.logs');
  }

  @FieldResolver(() => ApiKey, {
    nullable: true,
    description: 'The key that made the call, or null if another kind of credential made it. Requires `read.keys`.',
  })
  async key(@Root() log: RequestLog, @Ctx() ctx: GraphQLContext): Promise<ApiKey | null> {
    return log.credentialKind === 'API_KEY' ? ctx.seen(by(ApiKey), log.credentialId, 'read.keys') : null;
  }

  @FieldResolver(() => ServiceAccount, {
    nullable: true,
    description: 'The service account that made the call, or null if another kind of credential made it. Requires `read.keys`.',
  })
  async serviceAccount(@Root() log: RequestLog, @Ctx() ctx: GraphQLContext): Promise<ServiceAccount | null> {
    ctx.require('read.keys', log);
    return log.credentialKind === 'SERVICE_ACCOUNT' ? ctx.load(by(ServiceAccount), log.credentialId) : null;
  }

  @FieldResolver(() => Consent, {
    nullable: true,
    description:
      'The consent under which an application made the call, or null if another kind of credential made it. Requires `read.members`.',
  })
  async consent(@Root() log: RequestLog, @Ctx() ctx: GraphQLContext): Promise<Consent | null> {
    ctx.require('read.members', log);
    return log.credentialKind === 'OAUTH_CLIENT' ? ctx.load(by(Consent), log.credentialId) : null;
  }

  @MaxItems(MAX_UNITS)
  @FieldResolver(() => [UnitQuantity], { description: 'The quantities that the action reported, priced or not.' })
  usage(@Root() { usage }: RequestLog): UnitQuantity[] {
    return Object.entries(usage ?? {}).map(([unit, quantity]) => ({ unit, quantity }));
  }

  @FieldResolver(() => Project, { description: 'The project of the call.' })
  project(@Root() log: RequestLog, @Ctx() ctx: GraphQLContext): Promise<Project> {
    return ctx.need(by(Project), log.projectId);
  }
}

@Resolver(() => LedgerEntry)
export class LedgerEntryLogResolver {
  @FieldResolver(() => RequestLog, {
    nullable: true,
    description: 'The call that this entry bills or refunds.',
  })
  async requestLog(@Root() entry: LedgerEntry, @Ctx() ctx: GraphQLContext): Promise<RequestLog | null> {
    return entry.requestLogId ? ctx.seen(by(RequestLog), entry.requestLogId, 'read.logs') : null;
  }
}

/** The list of calls that workspaces, projects, keys and service accounts share. */
class RequestLogList {
  protected async list(
    owner: { workspaceId: string },
    scope: RequestLogScope,
    page: PageArgs,
    filter: RequestLogFilter | null,
    ctx: GraphQLContext,
  ): Promise<Connection<RequestLog>> {
    ctx.require('read.logs', owner);
    return ctx.page(REQUEST_LOGS, scope, filter ?? {}, page);
  }
}

@Resolver(() => Workspace)
export class WorkspaceLogsResolver extends RequestLogList {
  @FieldResolver(() => RequestLogConnection, {
    nullable: true,
    description: 'The calls of all its projects, newest first. Requires `read.logs`.',
  })
  requestLogs(
    @Root() { id }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => RequestLogFilter, { nullable: true, description: 'Selects calls.' }) filter: RequestLogFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<RequestLog>> {
    return this.list({ workspaceId: id }, { workspaceId: id }, page, filter, ctx);
  }
}

@Resolver(() => Project)
export class ProjectLogsResolver extends RequestLogList {
  @FieldResolver(() => RequestLogConnection, { nullable: true, description: 'Its calls, newest first. Requires `read.logs`.' })
  requestLogs(
    @Root() project: Project,
    @Args() page: PageArgs,
    @Arg('filter', () => RequestLogFilter, { nullable: true, description: 'Selects calls.' }) filter: RequestLogFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<RequestLog>> {
    return this.list(project, { projectId: project.id }, page, filter, ctx);
  }
}

@Resolver(() => ApiKey)
export class KeyLogsResolver extends RequestLogList {
  @FieldResolver(() => RequestLogConnection, { nullable: true, description: 'Its calls, newest first. Requires `read.logs`.' })
  requestLogs(
    @Root() key: ApiKey,
    @Args() page: PageArgs,
    @Arg('filter', () => RequestLogFilter, { nullable: true, description: 'Selects calls.' }) filter: RequestLogFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<RequestLog>> {
    return this.list(key, { credentialId: key.id }, page, filter, ctx);
  }

  @FieldResolver(() => Date, { nullable: true, description: 'Time when its newest call was logged, or null if there is none.' })
  lastUsedAt(@Root() { id }: ApiKey, @Ctx() ctx: GraphQLContext): Promise<Date | null> {
    return ctx.load(lastUsesOf, id);
  }
}

@Resolver(() => ServiceAccount)
export class ServiceAccountLogsResolver extends RequestLogList {
  @FieldResolver(() => RequestLogConnection, { nullable: true, description: 'Its calls, newest first. Requires `read.logs`.' })
  requestLogs(
    @Root() account: ServiceAccount,
    @Args() page: PageArgs,
    @Arg('filter', () => RequestLogFilter, { nullable: true, description: 'Selects calls.' }) filter: RequestLogFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<RequestLog>> {
    return this.list(account, { credentialId: account.id }, page, filter, ctx);
  }

  @FieldResolver(() => Date, { nullable: true, description: 'Time when its newest call was logged, or null if there is none.' })
  lastUsedAt(@Root() { id }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Date | null> {
    return ctx.load(lastUsesOf, id);
  }
}
