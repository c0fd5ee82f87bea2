import { Arg, Field, ID, InputType, ObjectType, Resolver, Root, Subscription } from 'type-graphql';
import { GraphQLContext } from '../graphql/context';
import { Project } from '../tenancy/project.entity';
import { BudgetFeed, type BudgetState } from './budget.feed';
import { Budget } from './wallet.entity';

@InputType({ description: 'Selects budgets.' })
class BudgetFilter {
  @Field(() => [ID], { nullable: true, description: 'Budgets of these projects. An empty list selects no budget.' })
  projectId?: string[] | null;
}

@ObjectType({ description: 'The current state of a budget.' })
class BudgetChanged implements BudgetState {
  @Field({ description: 'The project that the budget belongs to.' })
  project: Project;

  @Field({ description: 'What the project may spend.' })
  budget: Budget;

  @Field(() => ID, { nullable: true, description: 'The newest entry of its ledger, or null if the ledger is empty.' })
  newestEntryId: string | null;
}

interface BudgetChangedArgs {
  workspaceId: string;
  filter?: BudgetFilter | null;
}

@Resolver()
export class BudgetChangedResolver {
  @Subscription(() => BudgetChanged, {
    description:
      'The budgets of a workspace. First sends the current state of each budget, then each budget that has changed, ' +
      'at most twice per second. Requires `read.wallet`. The newest state always arrives, but states between may be skipped: ' +
      '`Project.ledger` has every movement. There is no cursor: a new subscription begins with the current state. ' +
      'INVALID_REQUEST for more than 500 budgets.',
    subscribe: ({ args: { workspaceId, filter }, context }: { args: BudgetChangedArgs; context: GraphQLContext }) =>
      context.subscribe({
        allow: (ctx) => ctx.requireIn('read.wallet', workspaceId),
        open: ({ reader }) => Promise.resolve(new BudgetFeed(reader, { workspaceId, projectId: filter?.projectId })),
      }),
  })
  budgetChanged(
    @Root() state: BudgetChanged,
    @Arg('workspaceId', () => ID, { description: 'Begins with `ws_`.' }) _workspaceId: string,
    @Arg('filter', () => BudgetFilter, { nullable: true, description: 'Selects budgets.' }) _filter: BudgetFilter | null,
  ): BudgetChanged {
    return state;
  }
}
