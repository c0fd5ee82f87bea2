import { In, type EntityManager } from 'typeorm';
import { anyOf } from '../db/filters';
import { invalid } from '../errors';
import type { Feed, FeedPage } from '../lib/feed';
import { Project } from '../tenancy/project.entity';
import { entryId } from './ledger-entry.entity';
import { Budget } from './wallet.entity';

/** The most budgets that one subscription follows. */
export const MAX_FOLLOWED_BUDGETS = 500;

export interface BudgetState {
  project: Project;
  budget: Budget;
  /** The newest entry of the ledger, or null if the ledger is empty. */
  newestEntryId: string | null;
}

/**
 * The budgets of a workspace: first the current state of each, then each budget that differs from the state sent before. A new feed
 * begins with the current state, so the newest state always arrives. States between may be skipped.
 */
export class BudgetFeed implements Feed<BudgetState> {
  /** The state that was last sent, by project id. */
  private readonly sent = new Map<string, string>();
  private waiting: BudgetState[] = [];

  constructor(
    private readonly reader: EntityManager,
    private readonly which: { workspaceId: string; projectId?: string[] | null | undefined },
  ) {}

  /** Throws INVALID_REQUEST if more than MAX_FOLLOWED_BUDGETS budgets match. */
  async next(limit: number): Promise<FeedPage<BudgetState>> {
    if (this.waiting.length === 0) this.waiting = await this.changed();
    return { events: this.waiting.splice(0, limit), more: this.waiting.length > 0 };
  }

  private async changed(): Promise<BudgetState[]> {
    const { workspaceId, projectId } = this.which;
    const query = this.reader
      .createQueryBuilder(Project, 'row')
      .innerJoin(Budget, 'budget', 'budget.projectId = row.id')
      .where({ workspaceId });
    anyOf<Project>('id', projectId, 'projectId')?.(query);
    query
      .select('row.id', 'id')
      .addSelect('budget.balance', 'balance')
      .addSelect('budget.held', 'held')
      .addSelect('budget.entrySeq', 'entrySeq');
    const rows = await query
      .orderBy('row.id')
      .limit(MAX_FOLLOWED_BUDGETS + 1)
      .getRawMany<{ id: string; balance: string | number; held: string | number; entrySeq: string | number }>();
    if (rows.length > MAX_FOLLOWED_BUDGETS)
      throw invalid({ path: ['filter', 'projectId'], message: `must select at most ${MAX_FOLLOWED_BUDGETS} projects; it selects more` });
    const changed = rows
      .filter(({ id, balance, held, entrySeq }) => this.sent.get(id) !== stateOf(balance, held, entrySeq))
      .map(({ id }) => id);
    return changed.length === 0 ? [] : this.statesOf(changed);
  }

  private async statesOf(ids: string[]): Promise<BudgetState[]> {
    const [projects, budgets] = await Promise.all([
      this.reader.findBy(Project, { id: In(ids) }),
      this.reader.findBy(Budget, { projectId: In(ids) }),
    ]);
    const projectOf = new Map(projects.map((project) => [project.id, project]));
    return budgets.flatMap((budget) => {
      const { projectId: id, balance, held, entrySeq } = budget;
      const project = projectOf.get(id);
      if (!project) return [];
      this.sent.set(id, stateOf(balance, held, entrySeq));
      return [{ project, budget, newestEntryId: entrySeq === 0 ? null : entryId(id, entrySeq) }];
    });
  }
}

const stateOf = (...figures: (string | number)[]): string => figures.join();
