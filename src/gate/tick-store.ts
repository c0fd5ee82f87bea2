import type { CredentialRef, Credential } from './call';
import type { TickState, TickWrites } from './rows';

/** What one tick has to read. */
export interface TickNeeds {
  /** Budgets to lock. */
  projectIds: string[];
  /** The credentials of the calls to judge, each once, and the actions that they ask for. */
  credentials: CredentialRef[];
  actions: ActionName[];
  claims: { credentialId: string; requestId: string }[];
  /** Attempts to settle. */
  attempts: string[];
}

export interface ActionName {
  service: string;
  action: string;
}

export const actionKey = ({ service, action }: ActionName): string => `${service} ${action}`;

/** How ticks meet a database. */
export interface TickStore {
  /** The most bytes of SQL that one tick may make. */
  readonly maxBytes: number;

  /** Credentials by `credentialKey`, by a plain read of what is committed, on the primary; without those that are not there. */
  findCredentials(credentials: CredentialRef[]): Promise<Map<string, Credential>>;

  /**
   * One transaction: locks the budgets (waiting for them, or passing over those that are locked elsewhere), reads, has `decide` say
   * what to write, writes, commits. Rejects with a TickFailure.
   */
  transact(needs: TickNeeds, options: { waits: boolean }, decide: (state: TickState) => TickWrites): Promise<void>;

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
