interface Limit {
  sustainedRps: number;
  burst: number;
}

/** Tolerance for the rounding of fractions, in calls. */
const ROUNDING = 1e-6;

/**
 * Checks the rate limit over every window at once. A bucket fills by one with each call and leaks at the sustained rate: its level is that
 * of the worst window that ends now, and must never exceed the burst. A new limit counts from the next call on, so the bucket leaks at the
 * higher rate until a call has passed under the new limit. If the burst becomes smaller, the level is reduced by the difference.
 */
export class RateAudit {
  private readonly buckets = new Map<string, { level: number; atUs: number; fastestRps: number; burst: number }>();

  constructor(private readonly fail: (problem: string) => void) {}

  /** Adds `passed` calls of a project, decided at `atUs` under the limit. With 0, it only records that the gate has seen the limit. */
  check(projectId: string, atUs: number, { sustainedRps, burst }: Limit, passed: number): void {
    const before = this.buckets.get(projectId) ?? { level: 0, atUs, fastestRps: 0, burst };
    const fastestRps = Math.max(before.fastestRps, sustainedRps);
    const leaked = ((atUs - before.atUs) / 1e6) * fastestRps;
    const forgiven = Math.max(0, before.burst - burst);
    const level = Math.max(0, Math.max(0, before.level - leaked) - forgiven) + passed;
    this.buckets.set(projectId, { level, atUs, fastestRps: passed > 0 ? sustainedRps : fastestRps, burst });
    if (level > burst + ROUNDING) this.fail(`${projectId} admitted ${level.toFixed(6)} calls at once, but its burst is ${burst}`);
  }
}
