import type { Usage } from '../../src/actions/unit-prices';
import type { RouteVersion } from '../../src/gate/call';
import type { ExecuteResult } from '../../src/gate/gate';
import type { HoldRow, LogRow } from '../../src/gate/tick/rows';
import type { Prices } from './tables';

// One call of the simulation, and what the auditor knows about it.

/** How a call of a route keeps its hold open. */
export const ROUTE_PACE = { everyMs: 30_000, lastsMs: 90_000, atMostMs: 3_600_000 };

/** `held`: an asker got a hold, or heard of the hold of an earlier question. */
export type SimulatedResult = ExecuteResult | { kind: 'rerouted' } | { kind: 'held'; body: string };

/** One call of one caller at one node. */
export interface SimulatedCall {
  name: string;
  keyId: string;
  projectId: string;
  isTest: boolean;
  secret: string;
  digest: string;
  action: string;
  /** Whether an asker runs it, and only asks for a hold. */
  isVerified: boolean;
  /** The route that chose the action, and how long its upstream takes. Undefined for a call of execute. */
  route: RouteVersion | undefined;
  upstreamMs: number;
  requestId: string;
  fingerprint: string | null;
  /** The prohibitions in force when it arrived; empty before. */
  forbiddenBy: Prohibition[];
  /** Whether its secret existed when it arrived. */
  isKnown: boolean;
  /** Index of its action's price when it arrived. */
  priceIndex: number;
  /** Simulated time when it arrived. */
  arrivedAt: number;
  /** The process at which it arrived. A dead process never answers. */
  server: Server | undefined;
  attempt: Attempt | undefined;
  result: SimulatedResult | undefined;
}

export interface Server {
  dead: boolean;
  suspendedUntil: number;
}

/** An administrator's change that has answered. From then on matching calls must be refused, until the prohibition is lifted. */
export interface Prohibition {
  text: string;
  lifted: boolean;
  forbids(call: SimulatedCall): boolean;
}

export type ActionOutcome = 'ok' | 'no' | 'broke';

export interface Attempt {
  hold: HoldRow;
  call: SimulatedCall;
  isOpen: boolean;
  runs: number;
  actionOutcome: ActionOutcome | undefined;
  /** The prices that it may have been admitted with. */
  prices: Prices[];
  /** What the action reported. */
  usage: Usage | null;
  /** Whether the gate has told that the hold is lost. */
  isLost: boolean;
  log: LogRow | undefined;
  loggedAtMs: number;
  /** Simulated time when its hold ended. */
  endedAt: number;
}
