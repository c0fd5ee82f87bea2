interface Limit {
  sustainedRps: number;
  burst: number;
}

/** Room for fractions that do not add up. */
const ROUNDING = 1e-6;

/**
 * The bound on calls over every window at once: a bucket that fills by one with each call and leaks at the sustained rate is as
 * full as the worst window that ends now, and must never be fuller than the burst. A new limit counts from the next call on, so the
 * bucket leaks at the higher rate until one has passed under the new one; a burst that becomes smaller forgives the difference.
 */
export class RateAudit {
  private readonly buckets = new Map<string, { level: number; atUs: number; fastestRps: number; burst: number }>();

  constructor(private readonly fail: (problem: string) => void) {}

  /** `passed` calls of a project, decided at `atUs` under `limit`; none, where that limit was seen and no call passed. */
  check(projectId: string, atUs: number, { sustainedRps, burst }: Limit, passed: number): void {
    const before = this.buckets.get(projectId) ?? { level: 0, atUs, fastestRps: 0, burst };
    const fastestRps = Math.max(before.fastestRps, sustainedRps);
    const leaked = ((atUs - before.atUs) / 1e6) * fastestRps;
    const forgiven = Math.max(0, before.burst - burst);
    const level = Math.max(0, Math.max(0, before.level - leaked) - forgiven) + passed;
    this.buckets.set(projectId, { level, atUs, fastestRps: passed > 0 ? sustainedRps : fastestRps, burst });
    if (level > burst + ROUNDING) this.fail(`${projectId} let ${level.toFixed(6)} calls pass at once, and its burst is ${burst}`);
  }
}
