import type { Tables } from './tables';

/** Adds every account up for itself, entry by entry. */
export class AccountAudit {
  private readonly sums = new Map<string, { entries: number; balance: number }>();

  constructor(private readonly fail: (problem: string) => void) {}

  /** After a commit: the entries that are new, and what is held. */
  check(tables: Tables, id: string): void {
    const sum = this.sums.get(id) ?? { entries: 0, balance: 0 };
    this.sums.set(id, sum);
    const entries = tables.entries.get(id) ?? [];
    for (const entry of entries.slice(sum.entries)) {
      sum.entries += 1;
      sum.balance += entry.delta;
      if (entry.seq !== sum.entries) this.fail(`entry ${entry.seq} of ${id} stands where ${sum.entries} should`);
      if (entry.balanceAfter !== sum.balance) this.fail(`entry ${entry.seq} of ${id} says ${entry.balanceAfter}, and the entries make ${sum.balance}`);
    }
    const account = tables.account(id);
    if (account.balance !== sum.balance || account.entrySeq !== sum.entries) {
      this.fail(`${id} says ${account.balance} after ${account.entrySeq} entries, and there are ${sum.entries} that make ${sum.balance}`);
    }
    let held = 0;
    for (const hold of tables.holds.values()) if (hold.projectId === id) held += hold.amount;
    if (account.held !== held) this.fail(`${id} says that ${account.held} is held, and its open holds make ${held}`);
    if (account.held < 0 || account.balance < account.held) this.fail(`${id} is overspent: ${account.balance}, of which ${account.held} is held`);
  }

  /** At the end: everything again from the first entry, and nothing is held. */
  atRest(tables: Tables): void {
    this.sums.clear();
    for (const { id, held } of tables.accounts.values()) {
      this.check(tables, id);
      if (held !== 0) this.fail(`${held} of ${id} is held for ever`);
    }
  }
}
