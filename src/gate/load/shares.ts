/** Uses a share of a process's resources: a project, with its workspace as the group, or an address, without a group. */
export interface Sharer {
  id: string;
  group?: string;
}

/** Counts the amount that each sharer and each group uses. Both have limits, so that one sharer or group cannot keep others out. */
export class Shares {
  private readonly amounts = new Map<string, number>();

  constructor(private readonly limits: { each: number; together: number }) {}

  /** Returns true if the amount fits into the limits of the sharer and of its group. */
  hasRoom({ id, group }: Sharer, amount: number): boolean {
    return this.of(id) + amount <= this.limits.each && (group === undefined || this.of(group) + amount <= this.limits.together);
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
