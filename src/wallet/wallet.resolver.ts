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
  valuesConfig: { TOPUP: { description: 'The credits were bought.' }, BONUS: { description: 'The credits were given.' } },
});

@InputType({ description: "Credits for a workspace's wallet." })
class TopUpWalletInput {
  @Field(() => ID, { description: 'The workspace that owns the wallet.' })
  workspaceId: string;

  @Field(() => MicroCredits, { description: 'Micro-credits, above zero: 5000000 is 5 USD.' })
  amount: number;

  @Field(() => TopUpKind, {
    defaultValue: TopUpKind.TOPUP,
    description: 'Whether the credits were bought or given. Affects only the entry.',
  })
  kind: TopUpKind;

  @Field({ description: "The caller's reference, such as a payment id: 1 to 200 characters. A repeated reference credits nothing again." })
  reference: string;
}

@InputType({ description: "Credits for a project's budget." })
class AllocateBudgetInput {
  @Field(() => ID, { description: 'The project that owns the budget.' })
  projectId: string;

  @Field(() => MicroCredits, { description: 'Micro-credits, not zero: 1000000 gives 1 USD, -250000 takes 0.25 USD back.' })
  amount: number;

  @Field(() => String, {
    nullable: true,
    description: "The caller's reference: 1 to 200 characters. A repeated reference moves nothing again.",
  })
  reference?: string | null;
}

@InputType({ description: 'The call to refund.' })
class RefundRequestInput {
  @Field(() => ID, { description: "The id of the call's log." })
  requestLogId: string;

  @Field({ description: 'The reason: 1 to 500 characters.' })
  reason: string;
}

@InputType({ description: 'A correction of a wallet or a budget. Give exactly one of workspaceId and projectId.' })
class AdjustBalanceInput {
  @Field(() => ID, { nullable: true, description: 'The workspace, to correct its wallet.' })
  workspaceId?: string | null;

  @Field(() => ID, { nullable: true, description: 'The project, to correct its budget.' })
  projectId?: string | null;

  @Field(() => MicroCredits, { description: 'Micro-credits, not zero. A negative value takes credits away.' })
  delta: number;

  @Field({ description: 'The reason: 1 to 500 characters.' })
  reason: string;

  @Field(() => String, {
    nullable: true,
    description: "The caller's reference: 1 to 200 characters. A repeated reference corrects nothing again.",
  })
  reference?: string | null;
}

@ObjectType({ description: 'The result of `topUpWallet`.' })
class TopUpWalletPayload {
  @Field({ description: 'The wallet after the change.' })
  wallet: Wallet;

  @Field({ description: 'The entry of this reference, written by this mutation or by an earlier one.' })
  entry: LedgerEntry;
}

@ObjectType({ description: 'The result of `allocateBudget`.' })
class AllocateBudgetPayload {
  @Field({ description: 'The wallet after the change.' })
  wallet: Wallet;

  @Field({ description: 'The project, with its budget after the change.' })
  project: Project;

  @Field({ description: "The project's entry of the movement." })
  entry: LedgerEntry;
}

@ObjectType({ description: 'The result of `refundRequest`.' })
class RefundRequestPayload {
  @Field({ description: 'The project, with its budget after the change.' })
  project: Project;

  @Field({ description: 'The entry that returns the price.' })
  entry: LedgerEntry;
}

@ObjectType({ description: 'The result of `adjustBalance`.' })
class AdjustBalancePayload {
  @Field({ description: 'The entry that corrects the balance.' })
  entry: LedgerEntry;
}

@Resolver(() => Wallet)
export class WalletResolver {
  constructor(private readonly service: WalletService) {}

  @FieldResolver(() => Workspace, { description: 'The workspace that the wallet belongs to.' })
  workspace(@Root() wallet: Wallet, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), wallet.workspaceId);
  }

  @FieldResolver(() => LedgerEntryConnection, { nullable: true, description: 'Its movements, newest first.' })
  async ledger(
    @Root() wallet: Wallet,
    @Args() page: PageArgs,
    @Arg('filter', () => LedgerFilter, { nullable: true, description: 'Selects entries.' }) filter: LedgerFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<LedgerEntry>> {
    ctx.require('read.wallet', wallet);
    return ctx.page(LEDGER, wallet.id, filter ?? {}, page);
  }

  @Mutation(() => TopUpWalletPayload, {
    nullable: true,
    description:
      'Credit a wallet. A repeated reference in the same workspace returns the first entry and credits nothing again. ' +
      'References of different mutations are independent.' +
      '\n\nOperator only. Errors: `NOT_FOUND` for the workspace; `CONFLICT` if the reference was used with another amount or kind; ' +
      '`INVALID_REQUEST` if the balance would pass 2^53 - 1.',
  })
  async topUpWallet(
    @Arg('input', { description: 'The amount and its reference.' }) input: TopUpWalletInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<TopUpWalletPayload> {
    const entry = await this.service.topUp(ctx.operatorOrigin, { ...input, kind: LedgerKind[input.kind] });
    return { wallet: await ctx.need(by(Wallet, 'workspaceId'), input.workspaceId), entry };
  }

  @Mutation(() => AllocateBudgetPayload, {
    nullable: true,
    description:
      "Move credits from the wallet to a project's budget. A negative amount moves them back. A repeated reference works as in " +
      "`topUpWallet`. Returns the project's entry." +
      '\n\nRequires `write.budgets`. Errors: `NOT_FOUND` for the project; `INSUFFICIENT_FUNDS` if the wallet, or the available part of ' +
      'the budget, is too small; `CONFLICT` if the reference was used for something else, or if the project is archived and the ' +
      'amount is positive.',
  })
  async allocateBudget(
    @Arg('input', { description: 'The amount and the project.' }) input: AllocateBudgetInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<AllocateBudgetPayload> {
    const entry = await this.service.allocate(await ctx.originFor(by(Project), input.projectId, 'write.budgets'), input);
    const project = await ctx.need(by(Project), input.projectId);
    return { wallet: await ctx.need(by(Wallet, 'workspaceId'), project.workspaceId), project, entry };
  }

  @Mutation(() => RefundRequestPayload, {
    nullable: true,
    description:
      "Return the full price of a billed call to the project's budget, once." +
      '\n\nOperator only. Errors: `NOT_FOUND` for the call; `CONFLICT` if the call was refunded before, or if it was free.',
  })
  async refundRequest(
    @Arg('input', { description: 'The call and the reason.' }) input: RefundRequestInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<RefundRequestPayload> {
    const entry = await this.service.refund(ctx.operatorOrigin, input);
    return { project: await ctx.need(by(Project), entry.accountId), entry };
  }

  @Mutation(() => AdjustBalancePayload, {
    nullable: true,
    description:
      'Correct a wallet or a budget by hand, with a reason. A repeated reference works as in `topUpWallet`.' +
      '\n\nOperator only. Errors: `NOT_FOUND` for the workspace or the project; `INSUFFICIENT_FUNDS` if the account has too little ' +
      'available; `CONFLICT` if the reference was used for something else; `INVALID_REQUEST` if the balance would pass 2^53 - 1.',
  })
  async adjustBalance(
    @Arg('input', { description: 'The balance, the amount and the reason.' }) input: AdjustBalanceInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<AdjustBalancePayload> {
    return { entry: await this.service.adjust(ctx.operatorOrigin, input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceWalletResolver {
  @FieldResolver(() => Wallet, { nullable: true, description: 'Its wallet. Requires `read.wallet`.' })
  async wallet(@Root() workspace: Workspace, @Ctx() ctx: GraphQLContext): Promise<Wallet | null> {
    ctx.require('read.wallet', { workspaceId: workspace.id });
    return ctx.load(by(Wallet, 'workspaceId'), workspace.id);
  }
}

@Resolver(() => Project)
export class ProjectBudgetResolver {
  @FieldResolver(() => Budget, { nullable: true, description: 'The credits that it may spend. Requires `read.wallet`.' })
  async budget(@Root() project: Project, @Ctx() ctx: GraphQLContext): Promise<Budget | null> {
    ctx.require('read.wallet', project);
    return ctx.load(by(Budget, 'projectId'), project.id);
  }

  @FieldResolver(() => LedgerEntryConnection, {
    nullable: true,
    description: 'The movements of its budget, newest first. Requires `read.wallet`.',
  })
  async ledger(
    @Root() project: Project,
    @Args() page: PageArgs,
    @Arg('filter', () => LedgerFilter, { nullable: true, description: 'Selects entries.' }) filter: LedgerFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<LedgerEntry>> {
    ctx.require('read.wallet', project);
    return ctx.page(LEDGER, project.id, filter ?? {}, page);
  }
}

@Resolver(() => LedgerEntry)
export class LedgerEntryResolver {
  @FieldResolver(() => Workspace, { description: 'The workspace that the credits belong to.' })
  workspace(@Root() entry: LedgerEntry, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(workspacesOf, entry.accountId);
  }

  @FieldResolver(() => Project, {
    nullable: true,
    description: "The project, if its budget changed. Null if the workspace's wallet changed.",
  })
  project(@Root() entry: LedgerEntry, @Ctx() ctx: GraphQLContext): Promise<Project | null> {
    return entry.accountId.startsWith('prj_') ? ctx.load(by(Project), entry.accountId) : Promise.resolve(null);
  }

  @FieldResolver(() => LedgerEntry, { nullable: true, description: 'The other entry of an allocation.' })
  linkedEntry(@Root() entry: LedgerEntry, @Ctx() ctx: GraphQLContext): Promise<LedgerEntry | null> {
    return entry.linkedEntryId ? ctx.load(entriesById, entry.linkedEntryId) : Promise.resolve(null);
  }
}
