/** Who shares what a process has: a project, whose group is its workspace; or an address, which has none. */
export interface Sharer {
  id: string;
  group?: string;
}

/** How much each has, with a bound on it, and on what all of a group have together: neither keeps others out. */
export class Shares {
  private readonly amounts = new Map<string, number>();

  constructor(private readonly limits: { each: number; together: number }) {}

  hasRoom({ id, group }: Sharer, amount: number): boolean {
    return this.of(id) + amount <= this.limits.each && (group === undefined || this.of(group) + amount <= this.limits.together);
  }

  /** Less where `amount` is negative. */
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
