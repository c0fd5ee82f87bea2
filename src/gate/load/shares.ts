/** Uses a share of a process's resources: a project, with its workspace as the group, or an address, without a group. */
export interface Sharer {
  id: string;
  group?: string;
}

/** If an amount N is left free, a group may use at most N times this number. So a few groups cannot keep all others out. */
const USED_PER_FREE = 7;

/** Counts the amount that each sharer and each group uses. Both have limits, so that one sharer or group cannot keep others out. */
export class Shares {
  private readonly amounts = new Map<string, number>();

  constructor(private readonly limits: { each: number; together: number }) {}

  /** Returns true if the amount fits into the limits of the sharer and of its group. `free` is what would then be left for all. */
  hasRoom({ id, group }: Sharer, amount: number, free: number): boolean {
    if (this.of(id) + amount > this.limits.each) return false;
    if (group === undefined) return true;
    const used = this.of(group);
    if (used + amount > this.limits.together) return false;
    return amount === 0 || used === 0 || used + amount <= USED_PER_FREE * free;
  }

  /** Adds an amount. A negative amount is subtracted. */
  add({ id, group }: Sharer, amount: number): void {
    this.addTo(id, amount);
    if (group !== undefined) this.addTo(group, amount);
  }

  private of(id: string): number {
    return this.amounts.get(id) ?? 0;
  }

  private addTo(id: string, amount: number): void {
    const left = this.of(id) + amount;
    if (left === 0) this.amounts.delete(id);
    else this.amounts.set(id, left);
  }
}
