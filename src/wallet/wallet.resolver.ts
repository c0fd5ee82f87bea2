import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Mutation, ObjectType, Resolver, Root, registerEnumType } from 'type-graphql';
import { GraphQLContext, by } from '../graphql/context';
import { connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { MicroCredits } from '../lib/scalars';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { LedgerEntry, LedgerKind } from './ledger-entry.entity';
import { LEDGER, entriesById, workspacesOf, LedgerFilter } from './ledger.queries';
import { Budget, Wallet } from './wallet.entity';
import { WalletService } from './wallet.service';

const LedgerEntryConnection = connectionOf(LedgerEntry, 'LedgerEntry');

enum TopUpKind {
  TOPUP = 'TOPUP',
  BONUS = 'BONUS',
}
registerEnumType(TopUpKind, {
  name: 'TopUpKind',
  description: 'Why a wallet is credited.',
  valuesConfig: { TOPUP: { description: 'Bought.' }, BONUS: { description: 'Given.' } },
});

@InputType({ description: "Credits for a workspace's wallet." })
class TopUpWalletInput {
  @Field(() => ID, { description: 'Whose wallet.' })
  workspaceId: string;

  @Field(() => MicroCredits, { description: 'Above zero: 5000000 is 5 USD.' })
  amount: number;

  @Field(() => TopUpKind, { defaultValue: TopUpKind.TOPUP, description: 'Bought or given; it changes nothing but the entry.' })
  kind: TopUpKind;

  @Field({ description: "The caller's own, such as a payment's id: 1 to 200 characters. Repeated, it credits nothing again." })
  reference: string;
}

@InputType({ description: "Credits for a project's budget." })
class AllocateBudgetInput {
  @Field(() => ID, { description: 'Whose budget.' })
  projectId: string;

  @Field(() => MicroCredits, { description: 'Not zero: 1000000 gives 1 USD, -250000 takes a quarter back.' })
  amount: number;

  @Field(() => String, { nullable: true, description: "The caller's own: 1 to 200 characters. Repeated, it moves nothing again." })
  reference?: string | null;
}

@InputType({ description: 'Which call is refunded.' })
class RefundRequestInput {
  @Field(() => ID, { description: "The call's log." })
  requestLogId: string;

  @Field({ description: 'Why: 1 to 500 characters.' })
  reason: string;
}

@InputType({ description: 'Exactly one of workspaceId (its wallet) and projectId (its budget).' })
class AdjustBalanceInput {
  @Field(() => ID, { nullable: true, description: 'Whose wallet.' })
  workspaceId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Whose budget.' })
  projectId?: string | null;

  @Field(() => MicroCredits, { description: 'Not zero; negative takes away.' })
  delta: number;

  @Field({ description: 'Why: 1 to 500 characters.' })
  reason: string;

  @Field(() => String, { nullable: true, description: "The caller's own: 1 to 200 characters. Repeated, it corrects nothing again." })
  reference?: string | null;
}

@ObjectType({ description: 'What `topUpWallet` did.' })
class TopUpWalletPayload {
  @Field({ description: 'The wallet as it is now.' })
  wallet: Wallet;

  @Field({ description: 'The entry that this reference made, now or before.' })
  entry: LedgerEntry;
}

@ObjectType({ description: 'What `allocateBudget` did.' })
class AllocateBudgetPayload {
  @Field({ description: 'The wallet as it is now.' })
  wallet: Wallet;

  @Field({ description: 'The project, with its budget as it is now.' })
  project: Project;

  @Field({ description: "The project's half of the movement." })
  entry: LedgerEntry;
}

@ObjectType({ description: 'What `refundRequest` did.' })
class RefundRequestPayload {
  @Field({ description: 'The project, with its budget as it is now.' })
  project: Project;

  @Field({ description: 'The entry that gives the price back.' })
  entry: LedgerEntry;
}

@ObjectType({ description: 'What `adjustBalance` did.' })
class AdjustBalancePayload {
  @Field({ description: 'The entry that corrects the balance.' })
  entry: LedgerEntry;
}

@Resolver(() => Wallet)
export class WalletResolver {
  constructor(private readonly service: WalletService) {}

  @FieldResolver(() => Workspace, { description: 'Whose it is.' })
  workspace(@Root() wallet: Wallet, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), wallet.workspaceId);
  }

  @FieldResolver(() => LedgerEntryConnection, { nullable: true, description: 'What moved it, newest first.' })
  async ledger(
    @Root() wallet: Wallet,
    @Args() page: PageArgs,
    @Arg('filter', () => LedgerFilter, { nullable: true, description: 'Which of them.' }) filter: LedgerFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<LedgerEntry>> {
    ctx.require('read.wallet', wallet);
    return ctx.page(LEDGER, wallet.id, filter ?? {}, page);
  }

  @Mutation(() => TopUpWalletPayload, {
    nullable: true,
    description:
      'Credit a wallet. A reference repeated in one workspace (each mutation counts its own) returns the first entry and credits nothing again.' +
      '\n\nOperator only. Errors: `NOT_FOUND` for the workspace; `CONFLICT` where the reference was used with another amount or kind; `INVALID_REQUEST` where the balance would pass 2^53 - 1.',
  })
  async topUpWallet(@Arg('input', { description: 'How much, and for what.' }) input: TopUpWalletInput, @Ctx() ctx: GraphQLContext): Promise<TopUpWalletPayload> {
    const entry = await this.service.topUp(ctx.operatorOrigin, { ...input, kind: LedgerKind[input.kind] });
    return { wallet: await ctx.need(by(Wallet, 'workspaceId'), input.workspaceId), entry };
  }

  @Mutation(() => AllocateBudgetPayload, {
    nullable: true,
    description:
      "Move credits from the wallet to a project's budget; a negative amount moves them back. A repeated reference: as for `topUpWallet`. The entry answered is the project's half." +
      '\n\nTakes `write.budgets`. Errors: `NOT_FOUND` for the project; `INSUFFICIENT_FUNDS` where the wallet, or what the budget has available, is less; `CONFLICT` where the reference was used for something else, or a positive amount is for an archived project.',
  })
  async allocateBudget(
    @Arg('input', { description: 'How much, and where.' }) input: AllocateBudgetInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<AllocateBudgetPayload> {
    const entry = await this.service.allocate(await ctx.originFor(by(Project), input.projectId, 'write.budgets'), input);
    const project = await ctx.need(by(Project), input.projectId);
    return { wallet: await ctx.need(by(Wallet, 'workspaceId'), project.workspaceId), project, entry };
  }

  @Mutation(() => RefundRequestPayload, {
    nullable: true,
    description:
      "Give all of a billed call's price back to the project's budget, once." +
      '\n\nOperator only. Errors: `NOT_FOUND` for the call; `CONFLICT` a second time, or where the call cost nothing.',
  })
  async refundRequest(@Arg('input', { description: 'Which call, and why.' }) input: RefundRequestInput, @Ctx() ctx: GraphQLContext): Promise<RefundRequestPayload> {
    const entry = await this.service.refund(ctx.operatorOrigin, input);
    return { project: await ctx.need(by(Project), entry.accountId), entry };
  }

  @Mutation(() => AdjustBalancePayload, {
    nullable: true,
    description:
      'Correct a wallet or a budget by hand, with a reason. A repeated reference: as for `topUpWallet`.' +
      '\n\nOperator only. Errors: `NOT_FOUND` for the workspace or the project; `INSUFFICIENT_FUNDS` where more is to be taken than is there; `CONFLICT` where the reference was used for something else; `INVALID_REQUEST` where the balance would pass 2^53 - 1.',
  })
  async adjustBalance(@Arg('input', { description: 'Which balance, by how much, and why.' }) input: AdjustBalanceInput, @Ctx() ctx: GraphQLContext): Promise<AdjustBalancePayload> {
    return { entry: await this.service.adjust(ctx.operatorOrigin, input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceWalletResolver {
  @FieldResolver(() => Wallet, { nullable: true, description: 'Its credits. Takes `read.wallet`.' })
  async wallet(@Root() workspace: Workspace, @Ctx() ctx: GraphQLContext): Promise<Wallet | null> {
    ctx.require('read.wallet', { workspaceId: workspace.id });
    return ctx.load(by(Wallet, 'workspaceId'), workspace.id);
  }
}

@Resolver(() => Project)
export class ProjectBudgetResolver {
  @FieldResolver(() => Budget, { nullable: true, description: 'What it may spend. Takes `read.wallet`.' })
  async budget(@Root() project: Project, @Ctx() ctx: GraphQLContext): Promise<Budget | null> {
    ctx.require('read.wallet', project);
    return ctx.load(by(Budget, 'projectId'), project.id);
  }

  @FieldResolver(() => LedgerEntryConnection, { nullable: true, description: 'What moved its budget, newest first. Takes `read.wallet`.' })
  async ledger(
    @Root() project: Project,
    @Args() page: PageArgs,
    @Arg('filter', () => LedgerFilter, { nullable: true, description: 'Which of them.' }) filter: LedgerFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<LedgerEntry>> {
    ctx.require('read.wallet', project);
    return ctx.page(LEDGER, project.id, filter ?? {}, page);
  }
}

@Resolver(() => LedgerEntry)
export class LedgerEntryResolver {
  @FieldResolver(() => Workspace, { description: 'Whose credits they are.' })
  workspace(@Root() entry: LedgerEntry, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(workspacesOf, entry.accountId);
  }

  @FieldResolver(() => Project, { nullable: true, description: "The project whose budget it moved; null where it moved the workspace's wallet." })
  project(@Root() entry: LedgerEntry, @Ctx() ctx: GraphQLContext): Promise<Project | null> {
    return entry.accountId.startsWith('prj_') ? ctx.load(by(Project), entry.accountId) : Promise.resolve(null);
  }

  @FieldResolver(() => LedgerEntry, { nullable: true, description: 'The other half of an allocation.' })
  linkedEntry(@Root() entry: LedgerEntry, @Ctx() ctx: GraphQLContext): Promise<LedgerEntry | null> {
    return entry.linkedEntryId ? ctx.load(entriesById, entry.linkedEntryId) : Promise.resolve(null);
  }
}
