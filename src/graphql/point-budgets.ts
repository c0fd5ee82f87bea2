import type { Principal } from '../access/principal';
import { parseBlock } from '../lib/cidr';

/** The points that a principal has after a quiet spell. */
export const MAX_POINTS = 20_000;
/** The points that come back to it in a second. */
export const POINTS_PER_SECOND = 1_000;
/** Whose budgets a process remembers: those that asked last. */
const MAX_BUDGETS = 10_000;

interface Budget {
  points: number;
  atMs: number;
}

/** Whose budget a request is paid from: the principal's, or without one that of its address, of which one customer has 2^64 in IPv6. */
export function payerOf(principal: Principal | null, ip: string | null): string {
  if (principal) return `${principal.kind} ${principal.id}`;
  return `address ${(ip?.includes(':') ? parseBlock(`${ip}/64`) : ip) ?? 'unknown'}`;
}

/**
 * What each may still ask of this process: a token bucket of points, full at first. In memory, for it guards the process's own time and
 * nothing else; forgetting one fills it, as not asking for a while does.
 */
export class PointBudgets {
  private readonly budgets = new Map<string, Budget>();

  constructor(private readonly now: () => number) {}

  /** Takes points out of a budget, and answers 0; or takes none where they are more than it has, and answers for how many milliseconds they will be. */
  take(payer: string, points: number): number {
    const budget = this.budgetOf(payer);
    if (points > budget.points) return Math.ceil(((Math.min(points, MAX_POINTS) - budget.points) / POINTS_PER_SECOND) * 1000);
    budget.points -= points;
    return 0;
  }

  /** Puts points back that were taken and not used. */
  giveBack(payer: string, points: number): void {
    const budget = this.budgetOf(payer);
    budget.points = Math.min(budget.points + points, MAX_POINTS);
  }

  /** The whole points that are there now. */
  left(payer: string): number {
    return Math.floor(this.budgetOf(payer).points);
  }

  private budgetOf(payer: string): Budget {
    const atMs = this.now();
    const known = this.budgets.get(payer);
    const points = known ? Math.min(known.points + ((atMs - known.atMs) * POINTS_PER_SECOND) / 1000, MAX_POINTS) : MAX_POINTS;
    const budget = { points, atMs };
    this.budgets.delete(payer); // and last again in the order of the map
    this.budgets.set(payer, budget);
    if (this.budgets.size > MAX_BUDGETS) this.budgets.delete(this.budgets.keys().next().value as string);
    return budget;
  }
}
