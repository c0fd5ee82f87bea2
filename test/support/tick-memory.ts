import type { EntryRow, LedgerAccount } from '../../src/wallet/ledger-account';
import type { ClaimRow, HoldRow, LockedBudget, LogRow, TickState, TickWrites } from '../../src/gate/tick/rows';
import type { RateLimit } from '../../src/gate/rate-limit';

/** The tables that ticks read and write, in memory. Rows are copied in and out, so a caller cannot change a stored row. */
export class TickMemory {
  readonly budgets = new Map<string, LockedBudget>();
  readonly limits = new Map<string, RateLimit>();
  readonly holds = new Map<string, HoldRow>();
  /** Holds with rows of their own. */
  readonly singleHolds = new Map<string, HoldRow>();
  readonly logs = new Map<string, LogRow>();
  readonly entries: EntryRow[] = [];
  readonly claims = new Map<string, ClaimRow>();
  refusalsCounted = 0;

  addProject(id: string, limit: RateLimit): void {
    this.budgets.set(id, { id, balance: 0, held: 0, entrySeq: 0, theoreticalArrivalUs: 0, arrivalIntervalUs: 0 });
    this.limits.set(id, limit);
  }

  /** Returns the state that a tick reads after it took its locks. Other transactions hold the projects in `locked`. */
  read(nowUs: number, attempts: string[], locked: string[] = [], singles: string[] = []): Omit<TickState, 'credentials' | 'actions'> {
    const nowMs = nowUs / 1000;
    const open = [...this.budgets.keys()].filter((id) => !locked.includes(id));
    const expired = [...this.claims.values()].filter(({ state, expiresAt }) => state === 'RUNNING' && expiresAt <= nowMs);
    const staleHolds = new Map(expired.flatMap(({ attempt }) => this.openHoldsOf(attempt).map((hold) => [attempt, { ...hold }] as const)));
    const found = [...singles, ...staleHolds.keys()].flatMap((attempt) => this.singleHolds.get(attempt) ?? []);
    const singleHolds = new Map(found.map(({ attempt, expiresAt }) => [attempt, expiresAt]));
    return {
      nowUs,
      budgets: new Map(open.map((id) => [id, { ...this.require(this.budgets, id) }])),
      claims: new Map([...this.claims].map(([key, claim]) => [key, { ...claim, answer: claim.answer === null ? null : '' }])),
      openHolds: new Set([...attempts.filter((attempt) => this.holds.has(attempt)), ...singleHolds.keys(), ...staleHolds.keys()]),
      lockedHolds: new Set(),
      singleHolds,
      routes: new Set(),
      staleHolds,
      ended: new Map(
        attempts.flatMap((attempt) => {
          const log = this.logs.get(attempt);
          if (!log || this.openHoldsOf(attempt).length > 0) return [];
          return [[attempt, { outcome: log.outcome, chargedMicroCredits: log.chargedMicroCredits }] as const];
        }),
      ),
    };
  }

  /** The rows of the hold of an attempt in both tables: at most one. */
  openHoldsOf(attempt: string): HoldRow[] {
    return [this.holds, this.singleHolds].flatMap((table) => table.get(attempt) ?? []);
  }

  /** Commits a tick. Throws like a database if a primary key is taken or a balance breaks its CHECK. */
  apply(writes: TickWrites): void {
    for (const budget of writes.budgets) this.saveBudget({ ...budget });
    for (const attempt of writes.endedHolds) if (!this.holds.delete(attempt)) throw new Error(`Hold ${attempt} was ended twice.`);
    for (const attempt of writes.endedSingleHolds) {
      if (!this.singleHolds.delete(attempt)) throw new Error(`The row of hold ${attempt} was deleted twice.`);
    }
    for (const { credentialId, requestId, attempt } of writes.endedClaims) {
      const key = `${credentialId} ${requestId}`;
      if (this.claims.get(key)?.attempt === attempt) this.claims.delete(key);
    }
    for (const hold of writes.holds) this.insert(this.holds, hold.attempt, hold);
    for (const hold of writes.singleHolds) this.singleHolds.set(hold.attempt, { ...hold });
    for (const log of writes.logs) this.insert(this.logs, log.id, log);
    for (const entry of writes.entries) this.addEntry(entry);
    for (const claim of writes.claims) this.claims.set(`${claim.credentialId} ${claim.requestId}`, { ...claim });
    for (const { calls } of writes.refusalCounts) this.refusalsCounted += calls;
  }

  /** A budget as an administrator locks it. */
  lock(id: string): LedgerAccount {
    return { ...this.require(this.budgets, id) };
  }

  /** Commits an administrator's change of a budget. */
  commit(account: LedgerAccount, entry: EntryRow): void {
    const { balance, held, entrySeq } = account;
    this.saveBudget({ ...this.require(this.budgets, account.id), balance, held, entrySeq });
    this.addEntry(entry);
  }

  private saveBudget(budget: LockedBudget): void {
    if (budget.held < 0 || budget.balance < budget.held) throw new Error(`The budget ${budget.id} breaks its CHECK.`);
    this.budgets.set(budget.id, budget);
  }

  private addEntry(entry: EntryRow): void {
    const isTaken = this.entries.some(({ accountId, seq }) => accountId === entry.accountId && seq === entry.seq);
    if (isTaken) throw new Error('An entry has a number that is taken.');
    this.entries.push({ ...entry });
  }

  private insert<T>(table: Map<string, T>, key: string, row: T): void {
    if (table.has(key)) throw new Error(`The key ${key} is taken.`);
    table.set(key, { ...row });
  }

  private require<T>(table: Map<string, T>, key: string): T {
    const row = table.get(key);
    if (!row) throw new Error(`There is no row ${key}.`);
    return row;
  }
}
