import type { Tables } from './tables';

/** Recomputes every account from its entries. */
export class AccountAudit {
  private readonly sums = new Map<string, { entries: number; balance: number }>();

  constructor(private readonly fail: (problem: string) => void) {}

  /** Checks an account after a commit: its new entries and its held credits. */
  check(tables: Tables, id: string): void {
    const sum = this.sums.get(id) ?? { entries: 0, balance: 0 };
    this.sums.set(id, sum);
    const entries = tables.entries.get(id) ?? [];
    for (const entry of entries.slice(sum.entries)) {
      sum.entries += 1;
      sum.balance += entry.delta;
      if (entry.seq !== sum.entries) this.fail(`entry ${entry.seq} of ${id} stands in the place of entry ${sum.entries}`);
      if (entry.balanceAfter !== sum.balance)
        this.fail(`entry ${entry.seq} of ${id} says ${entry.balanceAfter}, but the entries add up to ${sum.balance}`);
    }
    const account = tables.account(id);
    if (account.balance !== sum.balance || account.entrySeq !== sum.entries) {
      this.fail(
        `${id} says ${account.balance} after ${account.entrySeq} entries, but there are ${sum.entries}, which add up to ${sum.balance}`,
      );
    }
    let held = 0;
    for (const table of [tables.holds, tables.singleHolds]) {
      for (const hold of table.values()) if (hold.projectId === id) held += hold.amount;
    }
    if (account.held !== held) this.fail(`${id} says that ${account.held} is held, but its open holds add up to ${held}`);
    if (account.held < 0 || account.balance < account.held)
      this.fail(`${id} is overspent: ${account.balance}, of which ${account.held} is held`);
  }

  /** At the end, checks every account again from the first entry, and that nothing is held. */
  atRest(tables: Tables): void {
    this.sums.clear();
    for (const { id, held } of tables.accounts.values()) {
      this.check(tables, id);
      if (held !== 0) this.fail(`${held} of ${id} stays held for ever`);
    }
  }
}
