import { Arg, Field, ID, InputType, ObjectType, Resolver, Root, Subscription } from 'type-graphql';
import { GraphQLContext } from '../graphql/context';
import { Project } from '../tenancy/project.entity';
import { BudgetFeed, type BudgetState } from './budget.feed';
import { Budget } from './wallet.entity';

@InputType({ description: 'Which budgets.' })
class BudgetFilter {
  @Field(() => [ID], { nullable: true, description: 'Those of these projects; an empty list means none.' })
  projectId?: string[] | null;
}

@ObjectType({ description: 'A budget as it is now.' })
class BudgetChanged implements BudgetState {
  @Field({ description: 'Whose budget it is.' })
  project: Project;

  @Field({ description: 'What the project may spend.' })
  budget: Budget;

  @Field(() => ID, { nullable: true, description: 'The newest entry of its ledger, which has one for each movement; null where there is none.' })
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
      'The budgets of a workspace: first each as it is, then each that has changed, at most twice in a second. It needs `read.wallet`. The newest state always arrives; those in between may be passed over, and `Project.ledger` has every movement. So there is no cursor: whoever comes again begins with what is. INVALID_REQUEST for more than 500 budgets.',
    subscribe: ({ args: { workspaceId, filter }, context }: { args: BudgetChangedArgs; context: GraphQLContext }) =>
      context.subscribe({
        allow: (ctx) => ctx.requireIn('read.wallet', workspaceId),
        open: ({ reader }) => Promise.resolve(new BudgetFeed(reader, { workspaceId, projectId: filter?.projectId })),
      }),
  })
  budgetChanged(
    @Root() state: BudgetChanged,
    @Arg('workspaceId', () => ID, { description: 'Begins with `ws_`.' }) _workspaceId: string,
    @Arg('filter', () => BudgetFilter, { nullable: true, description: 'Which of them.' }) _filter: BudgetFilter | null,
  ): BudgetChanged {
    return state;
  }
}
