import { Arg, Args, Ctx, Field, FieldResolver, ID, Int, ObjectType, Query, Resolver, Root, Subscription } from 'type-graphql';
import type { EntityManager } from 'typeorm';
import { GraphQLContext, by } from '../graphql/context';
import { ApiKey } from '../keys/key.entity';
import { connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { ServiceAccount } from '../service-accounts/service-account.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { AuditEvent } from './event.entity';
import { EVENTS, eventsOf, AuditEventFilter } from './event.queries';
import { AuditSeal } from './seal.entities';
import type { SealedEvent } from './trail';
import { TrailFeed, type Sealed } from './trail.feed';

const AuditEventConnection = connectionOf(AuditEvent, 'AuditEvent');

@ObjectType({ description: 'A sealed event.' })
class AuditEventAdded {
  @Field({ description: 'To continue after this event, pass it as `after`, here or in `GET /v1/audit/export`.' })
  cursor: string;

  @Field({ description: 'The event.' })
  auditEvent: AuditEvent;
}

interface AuditEventAddedArgs {
  workspaceId?: string | null;
  filter?: AuditEventFilter | null;
  after?: string | null;
}

/** Returns a function that finds the events of a page of the trail that match a filter. */
function chosen(reader: EntityManager, filter: AuditEventFilter): (events: SealedEvent[]) => Promise<Map<string, AuditEvent>> {
  return async (events) => {
    const rows = await eventsOf(reader, events.map(({ id }) => id), filter).getMany();
    return new Map(rows.map((event) => [event.id, event]));
  };
}

@Resolver(() => AuditEvent)
export class AuditEventResolver {
  @Subscription(() => AuditEventAdded, {
    description:
      'Sends each event of a workspace when it is sealed, a moment after its commit. Requires `read.audit`. Without a workspace: ' +
      'the events of all workspaces and of the installation, operator only. Pass the cursor of the last event as `after` to continue ' +
      'after it: no event is missed or repeated. INVALID_REQUEST for a cursor that is not in the trail.',
    subscribe: ({ args: { workspaceId, filter, after }, context }: { args: AuditEventAddedArgs; context: GraphQLContext }) =>
      context.subscribe({
        allow: async (ctx) => (typeof workspaceId === 'string' ? ctx.requireIn('read.audit', workspaceId) : ctx.requireOperator()),
        open: ({ reader }) => TrailFeed.open(reader, { chainId: workspaceId ?? undefined, after, present: chosen(reader, filter ?? {}) }),
      }),
  })
  auditEventAdded(
    @Root() { cursor, of }: Sealed<AuditEvent>,
    @Arg('workspaceId', () => ID, { nullable: true, description: 'Begins with `ws_`.' }) _workspaceId: string | null,
    @Arg('filter', () => AuditEventFilter, { nullable: true, description: 'Selects events.' }) _filter: AuditEventFilter | null,
    @Arg('after', () => String, { nullable: true, description: 'The cursor of the last event that was received.' }) _after: string | null,
  ): AuditEventAdded {
    return { cursor, auditEvent: of };
  }

  @Query(() => AuditEventConnection, {
    nullable: true,
    description: 'Operator only. The events of all workspaces and of the installation, newest first.',
  })
  async auditEvents(
    @Args() page: PageArgs,
    @Arg('filter', () => AuditEventFilter, { nullable: true, description: 'Selects events.' }) filter: AuditEventFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<AuditEvent>> {
    ctx.requireOperator();
    return ctx.page(EVENTS, {}, filter ?? {}, page);
  }

  @FieldResolver(() => Int, {
    nullable: true,
    description: 'Its number in the chain of its workspace, or of the installation. Null until it is sealed, a moment later.',
  })
  async sequence(@Root() { id }: AuditEvent, @Ctx() ctx: GraphQLContext): Promise<number | null> {
    return (await ctx.load(by(AuditSeal, 'eventId'), id))?.sequence ?? null;
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'SHA-256, in hex, of the event, its number and the hash before it. Null until it is sealed.',
  })
  async hash(@Root() { id }: AuditEvent, @Ctx() ctx: GraphQLContext): Promise<string | null> {
    return (await ctx.load(by(AuditSeal, 'eventId'), id))?.hash ?? null;
  }
}

@Resolver(() => Workspace)
export class WorkspaceEventsResolver {
  @FieldResolver(() => AuditEventConnection, {
    nullable: true,
    description: 'The changes of the workspace and of everything in it, newest first. Requires `read.audit`.',
  })
  async auditEvents(
    @Root() { id: workspaceId }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => AuditEventFilter, { nullable: true, description: 'Selects events.' }) filter: AuditEventFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<AuditEvent>> {
    ctx.require('read.audit', { workspaceId });
    return ctx.page(EVENTS, { workspaceId }, filter ?? {}, page);
  }
}

@Resolver(() => ApiKey)
export class KeyEventsResolver {
  @FieldResolver(() => AuditEventConnection, {
    nullable: true,
    description: 'The changes of the key, newest first. Requires `read.audit`.',
  })
  async auditEvents(
    @Root() key: ApiKey,
    @Args() page: PageArgs,
    @Arg('filter', () => AuditEventFilter, { nullable: true, description: 'Selects events.' }) filter: AuditEventFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<AuditEvent>> {
    ctx.require('read.audit', key);
    return ctx.page(EVENTS, { subjectId: key.id }, filter ?? {}, page);
  }
}

@Resolver(() => ServiceAccount)
export class ServiceAccountEventsResolver {
  @FieldResolver(() => AuditEventConnection, {
    nullable: true,
    description:
      'The changes of the service account, newest first. For the changes that it made, filter `Workspace.auditEvents` by actorId. ' +
      'Requires `read.audit`.',
  })
  async auditEvents(
    @Root() account: ServiceAccount,
    @Args() page: PageArgs,
    @Arg('filter', () => AuditEventFilter, { nullable: true, description: 'Selects events.' }) filter: AuditEventFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<AuditEvent>> {
    ctx.require('read.audit', account);
    return ctx.page(EVENTS, { subjectId: account.id }, filter ?? {}, page);
  }
}
