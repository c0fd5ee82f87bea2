export const DAY_MS = 86_400_000;
export const PROJECTS = ['prj_a', 'prj_b'];

/** Two LIVE keys and a TEST key of the first project, and a LIVE key and a revoked key of the second. */
export const KEYS = [
  { id: 'key_a1', projectId: 'prj_a', environment: 'LIVE', revoked: false },
  { id: 'key_a2', projectId: 'prj_a', environment: 'LIVE', revoked: false },
  { id: 'key_at', projectId: 'prj_a', environment: 'TEST', revoked: false },
  { id: 'key_b1', projectId: 'prj_b', environment: 'LIVE', revoked: false },
  { id: 'key_gone', projectId: 'prj_b', environment: 'LIVE', revoked: true },
] as const;

export interface Attempt {
  projectId: string;
  claim: string | undefined;
  /** What it holds. */
  amount: number;
  startedAt: number;
  expiresAt: number;
  /** OPEN until it ends, then its outcome. */
  state: 'OPEN' | 'SUCCEEDED' | 'FAILED' | 'EXPIRED';
  charged: number;
  shortfall: number;
}

interface Claim {
  attempt: string;
  body: number;
  running: boolean;
  until: number;
  large: boolean;
}

/** The expected state in its simplest form, without ticks and rows. */
export class Model {
  available = new Map(PROJECTS.map((id) => [id, 0]));
  attempts = new Map<string, Attempt>();
  claims = new Map<string, Claim>();
  refunded = new Set<string>();
  /** The times of calls that passed the rate check, by project, since its limit or the clock was last set. */
  passed = new Map<string, number[]>(PROJECTS.map((id) => [id, []]));
  refusals = 0;

  copy(): Model {
    return Object.assign(new Model(), structuredClone({ ...this }));
  }

  /** The expected answer to a call, apart from its rate limit. */
  expects(call: { key: (typeof KEYS)[number]; claim: string | undefined; body: number; amount: number }, now: number): string {
    const claim = call.claim === undefined ? undefined : this.claims.get(call.claim);
    if (claim && claim.until > now) {
      if (claim.body !== call.body) return 'REQUEST_ID_REUSED';
      if (claim.running) return 'REQUEST_IN_PROGRESS';
      return claim.large ? 'REPLAY_UNAVAILABLE' : 'replay';
    }
    if (claim?.running) this.end(claim.attempt, 'EXPIRED', now);
    return call.amount > this.spendable(call.key.projectId) ? 'PAYMENT_REQUIRED' : 'admitted';
  }

  admit(id: string, attempt: Attempt, body: number): void {
    this.attempts.set(id, attempt);
    this.move(attempt.projectId, -attempt.amount);
    if (attempt.claim !== undefined)
      this.claims.set(attempt.claim, { attempt: id, body, running: true, until: attempt.expiresAt, large: false });
  }

  /** Ends an attempt. A success that costs `cost` is charged as far as its hold and the rest of the budget go. */
  end(id: string, state: Exclude<Attempt['state'], 'OPEN'>, now: number, cost = 0, large = false): void {
    const attempt = this.attempts.get(id) as Attempt;
    const charged = Math.min(cost, attempt.amount + this.spendable(attempt.projectId));
    Object.assign(attempt, { state, charged, shortfall: cost - charged });
    this.move(attempt.projectId, attempt.amount - charged);
    if (attempt.claim === undefined || this.claims.get(attempt.claim)?.attempt !== id) return;
    if (state === 'SUCCEEDED') Object.assign(this.claims.get(attempt.claim) as Claim, { running: false, until: now + DAY_MS, large });
    else this.claims.delete(attempt.claim);
  }

  /** Moves the expiry of an open attempt. */
  renew(id: string, now: number, lastsMs: number, atMostMs: number): void {
    const attempt = this.attempts.get(id) as Attempt;
    const latest = Math.min(now + lastsMs, attempt.startedAt + atMostMs);
    if (latest <= attempt.expiresAt) return;
    attempt.expiresAt = latest;
    const claim = attempt.claim === undefined ? undefined : this.claims.get(attempt.claim);
    if (claim?.attempt === id) claim.until = latest;
  }

  spendable(projectId: string): number {
    return this.available.get(projectId) as number;
  }

  move(projectId: string, delta: number): void {
    this.available.set(projectId, this.spendable(projectId) + delta);
  }

  of(projectId: string): [string, Attempt][] {
    return [...this.attempts].filter(([, attempt]) => attempt.projectId === projectId);
  }
}
