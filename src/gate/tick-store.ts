import type { ActionFacts, KeyFacts } from './call';
import type { TickState, TickWrites } from './rows';

/** What one tick has to read after the lock. */
export interface TickNeeds {
  projectIds: string[];
  claims: { credentialId: string; requestId: string }[];
  /** Attempts to settle. */
  attempts: string[];
}

export interface ActionName {
  service: string;
  action: string;
}

export interface LookUp {
  keys: Map<string, KeyFacts>;
  /** By `actionKey`. */
  actions: Map<string, ActionFacts>;
}

export const actionKey = ({ service, action }: ActionName): string => `${service} ${action}`;

/** How ticks meet a database: one store for MySQL and MariaDB, one for SQLite. */
export interface TickStore {
  /** The most bytes of SQL that one tick may make. */
  readonly maxBytes: number;

  /** Plain reads of what is committed, on the primary. */
  lookUp(digests: string[], actions: ActionName[]): Promise<LookUp>;

  /**
   * One transaction: locks the budgets (waiting for them, or passing over those that are locked elsewhere), reads, has `decide` say
   * what to write, writes, commits. `onWriting` is called once the writes are under way. Rejects with a TickFailure.
   */
  transact(needs: TickNeeds, options: { waits: boolean }, decide: (state: TickState) => TickWrites, onWriting: () => void): Promise<void>;

  close(): Promise<void>;
}

/** A tick that was not seen to commit. */
export class TickFailure extends Error {
  override name = 'TickFailure';

  constructor(
    /** Whether it may have committed all the same: its COMMIT was on the way and no answer came. */
    readonly mayHaveCommitted: boolean,
    cause: unknown,
  ) {
    super('The tick failed.', { cause });
  }
}
