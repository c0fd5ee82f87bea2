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
  amount: number;
  expiresAt: number;
  /** OPEN until it ends, then its outcome. */
  state: 'OPEN' | 'SUCCEEDED' | 'FAILED' | 'EXPIRED';
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
    if (claim?.running) this.end(claim.attempt, 'EXPIRED', now, false);
    return call.amount > this.spendable(call.key.projectId) ? 'PAYMENT_REQUIRED' : 'admitted';
  }

  admit(id: string, attempt: Attempt, body: number): void {
    this.attempts.set(id, attempt);
    this.move(attempt.projectId, -attempt.amount);
    if (attempt.claim !== undefined)
      this.claims.set(attempt.claim, { attempt: id, body, running: true, until: attempt.expiresAt, large: false });
  }

  end(id: string, state: Exclude<Attempt['state'], 'OPEN'>, now: number, large: boolean): void {
    const attempt = this.attempts.get(id) as Attempt;
    attempt.state = state;
    if (state !== 'SUCCEEDED') this.move(attempt.projectId, attempt.amount);
    if (attempt.claim === undefined || this.claims.get(attempt.claim)?.attempt !== id) return;
    if (state === 'SUCCEEDED') Object.assign(this.claims.get(attempt.claim) as Claim, { running: false, until: now + DAY_MS, large });
    else this.claims.delete(attempt.claim);
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
