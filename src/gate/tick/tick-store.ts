import type { CredentialRef, Credential } from '../call';
import type { TickState, TickWrites } from './rows';

/** The rows that one tick must lock and read. */
export interface TickNeeds {
  /** Projects with budgets to lock. */
  projectIds: string[];
  /** The credentials of the calls to judge, and their actions, without duplicates. */
  credentials: CredentialRef[];
  actions: ActionName[];
  /** The ids of the routes that chose the actions. */
  routes: string[];
  claims: { credentialId: string; requestId: string }[];
  /** Attempts to settle or to renew. */
  attempts: string[];
  /** Those of them with a hold that may have a row of its own. */
  singleHolds: string[];
}

export interface ActionName {
  service: string;
  action: string;
}

export const actionKey = ({ service, action }: ActionName): string => `${service} ${action}`;

/** Runs ticks on a database. */
export interface TickStore {
  /** The most bytes of SQL that one tick may send. */
  readonly maxBytes: number;

  /** Reads committed credentials from the primary, without a lock. The map is by `credentialKey`; missing credentials are not in it. */
  findCredentials(credentials: CredentialRef[]): Promise<Map<string, Credential>>;

  /**
   * Runs one transaction: locks the budgets, reads, calls `decide`, writes its result and commits. With `waits` it waits for budgets that
   * another transaction has locked; otherwise it skips them. Rejects with a TickFailure.
   */
  transact(needs: TickNeeds, options: { waits: boolean }, decide: (state: TickState) => TickWrites): Promise<void>;

  close(): Promise<void>;
}

/** The failure of a tick that was not confirmed as committed. */
export class TickFailure extends Error {
  override name = 'TickFailure';

  constructor(
    /** True if its COMMIT was sent and no answer came, so it may have committed. False if it certainly did not commit. */
    readonly mayHaveCommitted: boolean,
    cause: unknown,
  ) {
    super('The tick failed.', { cause });
  }
}
