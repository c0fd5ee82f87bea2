import { Arg, Ctx, Field, FieldResolver, ID, Int, ObjectType, Query, Resolver, Root } from 'type-graphql';
import type { EntityManager } from 'typeorm';
import { invalid } from '../errors';
import { GraphQLContext, by } from '../graphql/context';
import { Workspace } from '../tenancy/workspace.entity';
import { BEFORE_THE_FIRST, INSTALLATION } from './chain';
import type { ChainKeys } from './chain-keys';
import { AuditChain } from './seal.entities';
import { MAX_VERIFIED_AT_ONCE, verifyChain, type BrokenLink, type Verification } from './verify';

@ObjectType({ description: 'Where a chain breaks first.' })
class BrokenAuditLink implements BrokenLink {
  @Field(() => Int, { description: 'Its place in the chain.' })
  sequence: number;

  @Field(() => ID, { nullable: true, description: 'The event there; null where nothing tells any more.' })
  eventId: string | null;

  @Field({ description: 'What is wrong, in words.' })
  reason: string;
}

@ObjectType({ description: 'What a verification found.' })
class AuditVerification implements Verification {
  @Field(() => Int, { description: 'How many events it checked.' })
  checked: number;

  @Field(() => Int, { description: 'All up to this sequence hold: give it as `after` to go on.' })
  verifiedTo: number;

  @Field(() => Int, {
    nullable: true,
    description:
      'From this sequence on its seals are authenticated: 1, unless the chain is older than its key; null where it has none yet.',
  })
  keyedFrom: number | null;

  @Field({ description: 'Whether it came to the end of the chain, or to a broken link.' })
  complete: boolean;

  @Field(() => BrokenAuditLink, { nullable: true, description: 'The first broken link; null where all that was checked holds.' })
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
      'The chain of a workspace, which takes `read.audit`; null where the caller may not know of it. Without one that of the installation, which is for the operator only.',
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
    description: 'Recomputes the hashes of its events and what authenticates them, and looks for what is missing at its end.',
    complexity: MAX_VERIFIED_AT_ONCE / 10,
  })
  verify(
    @Root() chain: AuditChain,
    @Arg('after', () => Int, { defaultValue: 0, description: 'Begins after this sequence, and takes it as it stands.' }) after: number,
    @Arg('first', () => Int, { defaultValue: MAX_VERIFIED_AT_ONCE, description: `How many events: 1 to ${MAX_VERIFIED_AT_ONCE}.` })
    first: number,
  ): Promise<Verification> {
    if (after < 0) throw invalid({ path: ['after'], message: 'must be zero or more' });
    if (after > chain.sequence) throw invalid({ path: ['after'], message: 'is past the end of the chain' });
    if (first < 1 || first > MAX_VERIFIED_AT_ONCE) throw invalid({ path: ['first'], message: `must be 1 to ${MAX_VERIFIED_AT_ONCE}` });
    return verifyChain(this.reader, this.keys, chain.id, { after, first });
  }
}
