import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Query, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../graphql/context';
import { ApiKey } from '../keys/key.entity';
import { connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { Workspace } from '../tenancy/workspace.entity';
import { AuditEvent } from './event.entity';
import { EVENTS, type EventFilter } from './event.queries';
import { AuditSeal } from './seal.entities';

const AuditEventConnection = connectionOf(AuditEvent, 'AuditEvent');

@InputType({ description: 'All that are given must hold; a list means any of these, an empty one none.' })
class AuditEventFilter implements EventFilter {
  @Field(() => [String], { nullable: true, description: 'Deeds such as `key.revoked`.' })
  action?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Who acted.' })
  actorId?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'What it was done to.' })
  subjectId?: string[] | null;

  @Field(() => Date, { nullable: true, description: 'At this time or after it.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Before this time.' })
  to?: Date | null;
}

@Resolver(() => AuditEvent)
export class AuditEventResolver {
  @Query(() => AuditEventConnection, { nullable: true, description: 'Operator only. All events, those of the installation too, newest first.' })
  async auditEvents(
    @Args() page: PageArgs,
    @Arg('filter', () => AuditEventFilter, { nullable: true, description: 'Which of them.' }) filter: AuditEventFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<AuditEvent>> {
    ctx.requireOperator();
    return ctx.page(EVENTS, {}, filter ?? {}, page);
  }

  @FieldResolver(() => Int, { nullable: true, description: 'Its place in the chain of its workspace, or of the installation; null until it is sealed, a moment later.' })
  async sequence(@Root() { id }: AuditEvent, @Ctx() ctx: GraphQLContext): Promise<number | null> {
    return (await ctx.load(by(AuditSeal, 'eventId'), id))?.sequence ?? null;
  }

  @FieldResolver(() => String, { nullable: true, description: 'SHA-256, in hex, of the event, its place and the hash before; null until it is sealed.' })
  async hash(@Root() { id }: AuditEvent, @Ctx() ctx: GraphQLContext): Promise<string | null> {
    return (await ctx.load(by(AuditSeal, 'eventId'), id))?.hash ?? null;
  }
}

@Resolver(() => Workspace)
export class WorkspaceEventsResolver {
  @FieldResolver(() => AuditEventConnection, { nullable: true, description: 'What was done in it and to it, newest first. Takes `read.audit`.' })
  async auditEvents(
    @Root() { id: workspaceId }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => AuditEventFilter, { nullable: true, description: 'Which of them.' }) filter: AuditEventFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<AuditEvent>> {
    ctx.require('read.audit', { workspaceId });
    return ctx.page(EVENTS, { workspaceId }, filter ?? {}, page);
  }
}

@Resolver(() => ApiKey)
export class KeyEventsResolver {
  @FieldResolver(() => AuditEventConnection, { nullable: true, description: 'What was done to it, newest first. Takes `read.audit`.' })
  async auditEvents(
    @Root() key: ApiKey,
    @Args() page: PageArgs,
    @Arg('filter', () => AuditEventFilter, { nullable: true, description: 'Which of them.' }) filter: AuditEventFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<AuditEvent>> {
    ctx.require('read.audit', key);
    return ctx.page(EVENTS, { subjectId: key.id }, filter ?? {}, page);
  }
}
