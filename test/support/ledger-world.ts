import fc from 'fast-check';
import type { Usage } from '../../src/actions/unit-prices';
import type { ActionFacts, Call, Credential } from '../../src/gate/call';
import { decide, type DecideOptions } from '../../src/gate/decide';
import type { Ending, TickItem, Verdict } from '../../src/gate/items';
import { BytesInFlight, KeptBytes } from '../../src/gate/load/kept-bytes';
import type { RateLimit } from '../../src/gate/rate-limit';
import type { HoldRow, TickState } from '../../src/gate/tick/rows';
import { actionKey } from '../../src/gate/tick/tick-store';
import { LedgerKind } from '../../src/wallet/ledger-entry.entity';
import { post, refusalOf } from '../../src/wallet/ledger-account';
import { DAY_MS, KEYS, Model, PROJECTS, type Attempt } from './ledger-model';
import { TickMemory } from './tick-memory';

export const START_MS = 1_795_000_000_000;
const MARGIN_MS = 30_000;
const LARGE = 1024 * 1024;
/** The price of `metered` is 3, and 2 for each 3 tokens. Its calls hold 50. */
const METERED = { flat: 3, perThreeTokens: 2, most: 50 };
const PRICES = ['0', '1', '3', '1000', 'metered'];
/** How long a renewed hold lasts, at most. */
const AT_MOST_MS = 90_000;
const TIMEOUTS = [100, 5_000];
const ACTIONS: ActionFacts[] = PRICES.flatMap((price) =>
  TIMEOUTS.map((timeoutMs) => ({
    service: 'demo',
    name: `demo.${price}.${timeoutMs}`,
    priceMicroCredits: price === 'metered' ? METERED.flat : Number(price),
    unitPrices: price === 'metered' ? [{ unit: 'tokens', microCredits: METERED.perThreeTokens, per: 3 }] : [],
    maxChargeMicroCredits: price === 'metered' ? METERED.most : null,
    permission: 'demo.echo',
    upstreamUrl: null,
    timeoutMs,
    passStatuses: [],
  })),
);

const index = fc.nat({ max: 1_000 });
const pick = <T>(list: readonly T[], at: number): T => list[at % list.length] as T;

const item = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('call' as const),
      key: index,
      price: index,
      timeout: index,
      requestId: fc.option(fc.nat({ max: 1 })),
      body: fc.nat({ max: 1 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      hold: index,
      how: fc.constantFrom('post' as const, 'post' as const, 'void' as const, 'expire' as const, 'large' as const, 'large' as const),
      tokens: fc.option(fc.oneof(fc.nat({ max: 60 }), fc.nat({ max: 30_000 }))),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('renew' as const), hold: index, lastsMs: fc.constantFrom(1_000, 40_000, 60_000) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('settleAgain' as const), attempt: index }) },
);

/** `lost`: the tick is decided but does not commit. `repeated`: it commits, but its answer is lost and its settlements are repeated. */
export const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('tick' as const),
      items: fc.array(item, { minLength: 1, maxLength: 12 }),
      fate: fc.constantFrom('committed' as const, 'committed' as const, 'committed' as const, 'lost' as const, 'repeated' as const),
      locked: fc.option(fc.nat({ max: 1 }), { freq: 8 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('allocate' as const),
      project: index,
      amount: fc.oneof(fc.integer({ min: -4, max: 4 }), fc.integer({ min: -1_001, max: 2_001 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refund' as const), log: index }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.oneof(fc.nat({ max: 300 }), fc.nat({ max: 40_000 }), fc.constant(DAY_MS), fc.integer({ min: -40_000, max: -1 })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('limit' as const),
      project: index,
      sustainedRps: fc.constantFrom<number>(0.5, 1, 3, 1_000),
      burst: fc.integer({ min: 2, max: 30 }),
    }),
  },
);

type Item = typeof item extends fc.Arbitrary<infer T> ? T : never;
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Runs steps through the gate's decisions and its tables, and through the model. Fails if a verdict differs from the model. */
export class World {
  readonly memory = new TickMemory();
  model = new Model();
  now = START_MS;
  private made = 0;
  private ticks = 0;
  private rows = new Map<string, number>();
  readonly seen: Record<string, number> = {};
  /** Holds as they were admitted, by attempt. */
  private readonly admitted = new Map<string, HoldRow>();

  constructor() {
    for (const id of PROJECTS) this.memory.addProject(id, { sustainedRps: 1_000, burst: 100 });
  }

  take(step: Step): void {
    switch (step.do) {
      case 'tick':
        return this.tick(step);
      case 'allocate':
        return this.allocate(pick(PROJECTS, step.project), step.amount);
      case 'refund':
        return this.refund(step.log);
      case 'pass':
        this.now += step.ms;
        if (step.ms < 0) PROJECTS.forEach((id) => this.model.passed.set(id, []));
        return;
      case 'limit': {
        const id = pick(PROJECTS, step.project);
        this.memory.limits.set(id, { sustainedRps: step.sustainedRps, burst: step.burst });
        this.model.passed.set(id, []);
      }
    }
  }

  private tick({ items, fate, locked }: Extract<Step, { do: 'tick' }>): void {
    const lockedIds = locked === null ? [] : [pick(PROJECTS, locked)];
    const made = items.flatMap((each) => this.make(each));
    const first = this.decide(made, lockedIds);
    if (fate === 'lost') return; // no effect
    this.memory.apply(first.writes);
    this.model = first.model;
    if (fate === 'committed') return;
    const again = this.decide(made.filter(({ kind }) => kind === 'settlement'), lockedIds);
    this.memory.apply(again.writes);
    expect(again.writes.entries).toEqual([]);
    this.model = again.model;
  }

  /** Decides one tick, and compares every verdict with the model, in the same order. */
  private decide(items: TickItem[], locked: string[]) {
    const model = this.model.copy();
    const ofHolds = items.filter((each) => each.kind === 'settlement' || each.kind === 'renewal');
    const singles = ofHolds.filter((each) => each.kind === 'renewal' || each.mayBeSingle);
    const [attempts, maybeSingle] = [ofHolds, singles].map((list) => list.map(({ hold }) => hold.attempt)) as [string[], string[]];
    const { writes, verdicts } = decide(items, this.read(attempts, locked, maybeSingle), this.options());
    expect(verdicts).toHaveLength(items.length);
    items.forEach((each, at) => {
      const verdict = verdicts[at] as Verdict;
      this.seen[labelOf(verdict)] = (this.seen[labelOf(verdict)] ?? 0) + 1;
      if (each.kind === 'admission') this.checkAdmission(each, verdict, model, locked);
      else if (each.kind === 'settlement') this.checkSettlement(each, verdict, model, locked);
      else if (each.kind === 'renewal') this.checkRenewal(each, verdict, model, locked);
    });
    return { writes, model };
  }

  private checkAdmission(
    { call, credentialId }: Extract<TickItem, { kind: 'admission' }>,
    verdict: Verdict,
    model: Model,
    locked: string[],
  ): void {
    const key = KEYS.find(({ id }) => id === credentialId) as (typeof KEYS)[number];
    const { priceMicroCredits, maxChargeMicroCredits, timeoutMs } = ACTIONS.find(({ name }) => name === call.action) as ActionFacts;
    if (key.revoked) {
      expect(labelOf(verdict)).toBe('REVOKED_API_KEY');
      model.refusals += 1;
      return;
    }
    if (locked.includes(key.projectId)) return expect(verdict).toEqual({ kind: 'locked', projectId: key.projectId });
    if (labelOf(verdict) === 'RATE_LIMITED') {
      model.refusals += 1;
      return; // other tests check whether the rate limit is correct
    }
    model.passed.get(key.projectId)?.push(this.now);
    const claim = call.fingerprint === null ? undefined : `${key.id} ${call.requestId}`;
    const amount = key.environment === 'TEST' ? 0 : (maxChargeMicroCredits ?? priceMicroCredits);
    const body = Number(call.fingerprint);
    const expected = model.expects({ key, claim, body, amount }, this.now);
    expect(labelOf(verdict)).toBe(expected);
    if (verdict.kind === 'admitted') {
      const times = { startedAt: this.now, expiresAt: this.now + timeoutMs + MARGIN_MS };
      const open = { projectId: key.projectId, claim, amount, ...times, state: 'OPEN', charged: 0, shortfall: 0 } as const;
      model.admit(verdict.hold.attempt, open, body);
      this.admitted.set(verdict.hold.attempt, { ...verdict.hold });
    } else if (expected !== 'replay') {
      model.refusals += 1;
    }
  }

  private checkSettlement(
    { hold, ending }: Extract<TickItem, { kind: 'settlement' }>,
    verdict: Verdict,
    model: Model,
    locked: string[],
  ): void {
    if (locked.includes(hold.projectId)) return expect(verdict).toEqual({ kind: 'locked', projectId: hold.projectId });
    const attempt = model.attempts.get(hold.attempt);
    if (!attempt) return expect(verdict).toEqual({ kind: 'gone' });
    if (attempt.state === 'OPEN' && ending.kind === 'expired' && attempt.expiresAt > hold.expiresAt) {
      return expect(verdict).toEqual({ kind: 'gone' }); // it was renewed after a sweep had read it
    }
    if (attempt.state === 'OPEN') {
      const large = ending.kind === 'posted' && ending.answer({ chargedMicroCredits: 0, budgetAvailableMicroCredits: 0 }).length > LARGE;
      const state = ending.kind === 'posted' ? 'SUCCEEDED' : ending.kind === 'voided' ? 'FAILED' : 'EXPIRED';
      model.end(hold.attempt, state, this.now, ending.kind === 'posted' ? costOf(hold, ending.usage) : 0, large);
      this.seen.shortfall = (this.seen.shortfall ?? 0) + (attempt.shortfall > 0 ? 1 : 0);
    }
    this.checkEnded(attempt, verdict, model);
  }

  private checkEnded({ state, charged, projectId }: Attempt, verdict: Verdict, model: Model): void {
    const billing = { chargedMicroCredits: charged, budgetAvailableMicroCredits: model.spendable(projectId) };
    expect(verdict).toMatchObject({ kind: 'settled', outcome: state, billing });
  }

  private checkRenewal(
    { hold, lastsMs, atMostMs }: Extract<TickItem, { kind: 'renewal' }>,
    verdict: Verdict,
    model: Model,
    locked: string[],
  ): void {
    if (locked.includes(hold.projectId)) return expect(verdict).toEqual({ kind: 'locked', projectId: hold.projectId });
    const attempt = model.attempts.get(hold.attempt) as Attempt;
    if (attempt.state === 'OPEN' && attempt.expiresAt > this.now) {
      model.renew(hold.attempt, this.now, lastsMs, atMostMs);
      return expect(verdict).toEqual({ kind: 'renewed', expiresAt: attempt.expiresAt });
    }
    if (attempt.state === 'OPEN') model.end(hold.attempt, 'EXPIRED', this.now);
    this.checkEnded(attempt, verdict, model);
  }

  private make(wanted: Item): TickItem[] {
    if (wanted.do === 'call') return [this.admission(wanted)];
    if (wanted.do === 'settleAgain') {
      // Repeats the settlement of a hold that has already ended
      const log = pick([...this.memory.logs.values()], wanted.attempt);
      if (!log || !this.model.attempts.has(log.id)) return [];
      const { id, ...row } = log;
      const hold = { ...row, attempt: id, claimed: true, amount: log.chargedMicroCredits, startedAt: 0, expiresAt: 0 };
      return [{ kind: 'settlement', hold, ending: endingOf('post') }];
    }
    const hold = pick([...this.memory.holds.values(), ...this.memory.singleHolds.values()], wanted.hold);
    if (!hold) return [];
    const first = { ...(this.admitted.get(hold.attempt) as HoldRow) };
    if (wanted.do === 'renew') return [{ kind: 'renewal', hold: first, lastsMs: wanted.lastsMs, atMostMs: AT_MOST_MS }];
    const ending = endingOf(wanted.how, wanted.tokens === null ? null : { tokens: wanted.tokens });
    // Only a sweep has read the hold with its present expiry
    const settled = ending.kind === 'expired' ? { ...hold } : first;
    return [{ kind: 'settlement', hold: settled, ending, mayBeSingle: this.memory.singleHolds.has(hold.attempt) }];
  }

  private admission({ key: at, price, timeout, requestId, body }: Extract<Item, { do: 'call' }>): TickItem {
    const key = pick(KEYS, at);
    this.made += 1;
    const call: Call = {
      credentialKind: 'API_KEY',
      digest: key.id,
      namedProjectId: null,
      statedProjectId: null,
      service: 'demo',
      action: `demo.${pick(PRICES, price)}.${pick(TIMEOUTS, timeout)}`,
      requestId: requestId === null ? `made-${this.made}` : `chosen-${requestId}`,
      fingerprint: requestId === null ? null : String(body),
      ip: '127.0.0.1',
      userAgent: null,
      arrivedAt: 0,
      waitsSince: 0,
      kept: new KeptBytes(new BytesInFlight({ maxBytes: Infinity, maxBytesEach: Infinity })),
      placeInProject: null,
    };
    return { kind: 'admission', call, credentialId: key.id, projectId: key.projectId };
  }

  /** The state that a tick reads: the tables, the keys and the actions. */
  private read(attempts: string[], locked: string[], singles: string[]): TickState {
    const keys = KEYS.map((key): Credential => ({
      credentialKind: 'API_KEY',
      digest: key.id,
      namedProjectId: null,
      scopes: null,
      secretGraceUntil: null,
      secretEndedAt: null,
      id: key.id,
      name: 'Key',
      environment: key.environment,
      permissions: ['demo.*'],
      allowedIps: [],
      enabled: true,
      expiresAt: null,
      revokedAt: key.revoked ? START_MS : null,
      projectId: key.projectId,
      workspaceId: 'ws_a',
      galleryMode: 'ISOLATED',
      archivedAt: null,
      limit: this.memory.limits.get(key.projectId) as RateLimit,
    }));
    return {
      ...this.memory.read(this.now * 1000, attempts, locked, singles),
      credentials: new Map(keys.map((key) => [key.digest, key])),
      actions: new Map(ACTIONS.map((action) => [actionKey({ service: action.service, action: action.name }), action])),
    };
  }

  private allocate(projectId: string, amount: number): void {
    const budget = this.memory.lock(projectId);
    if (amount === 0) return expect(() => post(budget, { kind: LedgerKind.ALLOCATION, delta: 0, at: this.now })).toThrow(RangeError);
    const short = amount < 0 && this.model.spendable(projectId) + amount < 0;
    expect(refusalOf(budget, amount)).toBe(short ? 'INSUFFICIENT' : undefined);
    if (short) return expect(() => post(budget, { kind: LedgerKind.ALLOCATION, delta: amount, at: this.now })).toThrow(RangeError);
    this.memory.commit(budget, post(budget, { kind: LedgerKind.ALLOCATION, delta: amount, at: this.now }));
    this.model.move(projectId, amount);
  }

  private refund(at: number): void {
    const log = pick([...this.memory.logs.values()].filter(({ chargedMicroCredits }) => chargedMicroCredits > 0), at);
    if (!log || this.model.refunded.has(log.id)) return;
    const budget = this.memory.lock(log.projectId);
    this.memory.commit(
      budget,
      post(budget, { kind: LedgerKind.REFUND, delta: log.chargedMicroCredits, requestLogId: log.id, at: this.now }),
    );
    this.model.refunded.add(log.id);
    this.model.move(log.projectId, log.chargedMicroCredits);
  }

  private options(): DecideOptions {
    this.ticks += 1;
    return {
      tick: `log_tick${this.ticks}`,
      process: 'p',
      httpStatusOf: () => 400,
      canRun: () => true,
      logsRefusal: (credentialId) => {
        const rows = (this.rows.get(credentialId) ?? 0) + 1;
        this.rows.set(credentialId, rows);
        return rows % 3 !== 0; // every third one is only counted
      },
      monotonicMs: 0,
    };
  }
}

/** What a success with this hold costs. */
function costOf({ action, environment }: HoldRow, usage: Usage | null): number {
  const price = PRICES.find((each) => action.split('.')[1] === each) as string;
  if (environment === 'TEST') return 0;
  return price === 'metered' ? METERED.flat + Math.ceil(((usage?.tokens ?? 0) * METERED.perThreeTokens) / 3) : Number(price);
}

export function endingOf(how: 'post' | 'large' | 'void' | 'expire', usage: Usage | null = null): Ending {
  if (how === 'expire') return { kind: 'expired' };
  if (how === 'void') return { kind: 'voided', outcome: 'FAILED', errorCode: 'NO_FACE', httpStatus: 200, actionMs: 1, arrivedAt: 0 };
  const answer = () => (how === 'large' ? 'x'.repeat(LARGE + 1) : '{}');
  return { kind: 'posted', usage, httpStatus: 200, answer, actionMs: 1, arrivedAt: 0 };
}

function labelOf(verdict: Verdict): string {
  return verdict.kind === 'refused' ? verdict.refusal.code : verdict.kind;
}
