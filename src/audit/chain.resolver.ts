import { Arg, Ctx, Field, FieldResolver, ID, Int, ObjectType, Query, Resolver, Root } from 'type-graphql';
import type { EntityManager } from 'typeorm';
import { invalid } from '../errors';
import { GraphQLContext, by } from '../graphql/context';
import { Workspace } from '../tenancy/workspace.entity';
import { BEFORE_THE_FIRST, INSTALLATION } from './event-hash';
import type { ChainKeys } from './chain-keys';
import { AuditChain } from './seal.entities';
import { MAX_VERIFIED_AT_ONCE, verifyChain, type BrokenLink, type Verification } from './verify';

@ObjectType({ description: 'The first broken link of a chain.' })
class BrokenAuditLink implements BrokenLink {
  @Field(() => Int, { description: 'Its place in the chain.' })
  sequence: number;

  @Field(() => ID, { nullable: true, description: 'The event at this place, or null if it is unknown.' })
  eventId: string | null;

  @Field({ description: 'The fault, in words.' })
  reason: string;
}

@ObjectType({ description: 'The result of a verification.' })
class AuditVerification implements Verification {
  @Field(() => Int, { description: 'The number of checked events.' })
  checked: number;

  @Field(() => Int, { description: 'All events up to this sequence are correct. Pass it as `after` to continue.' })
  verifiedTo: number;

  @Field(() => Int, {
    nullable: true,
    description:
      'The first sequence with an authenticated seal: 1, or more if the chain is older than its key. Null if it has no key yet.',
  })
  keyedFrom: number | null;

  @Field({ description: 'Whether the verification reached the end of the chain or a broken link.' })
  complete: boolean;

  @Field(() => BrokenAuditLink, { nullable: true, description: 'The first broken link, or null if all checked events are correct.' })
  firstBroken: BrokenLink | null;
}

@Resolver(() => AuditChain)
export class AuditChainResolver {
  constructor(
    private readonly reader: EntityManager,
    private readonly keys: ChainKeys,
  ) {}

  @Query(() => AuditChain, {
    nullable: true,
    description:
      'The chain of a workspace, or null if the caller may not see the workspace. Requires `read.audit`. Without a workspace: the chain ' +
      'of the installation, operator only.',
  })
  async auditChain(
    @Arg('workspaceId', () => ID, { nullable: true, description: 'Begins with `ws_`.' }) workspaceId: string | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<AuditChain | null> {
    if (typeof workspaceId !== 'string') {
      ctx.requireOperator();
    } else {
      if (!ctx.knows(workspaceId) || !(await ctx.load(by(Workspace), workspaceId))) return null;
      ctx.require('read.audit', { workspaceId });
    }
    const id = workspaceId ?? INSTALLATION;
    return (await this.reader.findOneBy(AuditChain, { id })) ?? { id, ...BEFORE_THE_FIRST, wrappedKey: null };
  }

  @FieldResolver(() => AuditVerification, {
    description: 'Recomputes and checks the hashes of the events and their authentication, and checks that no event is missing at the end.',
    complexity: MAX_VERIFIED_AT_ONCE / 10,
  })
  verify(
    @Root() chain: AuditChain,
    @Arg('after', () => Int, { defaultValue: 0, description: 'Begins after this sequence. 0 begins with the first event.' }) after: number,
    @Arg('first', () => Int, { defaultValue: MAX_VERIFIED_AT_ONCE, description: `The number of events: 1 to ${MAX_VERIFIED_AT_ONCE}.` })
    first: number,
  ): Promise<Verification> {
    if (after < 0) throw invalid({ path: ['after'], message: 'must be zero or more' });
    if (after > chain.sequence) throw invalid({ path: ['after'], message: 'is past the end of the chain' });
    if (first < 1 || first > MAX_VERIFIED_AT_ONCE) throw invalid({ path: ['first'], message: `must be 1 to ${MAX_VERIFIED_AT_ONCE}` });
    return verifyChain(this.reader, this.keys, chain.id, { after, first });
  }
}
