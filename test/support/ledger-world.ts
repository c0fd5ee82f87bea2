import fc from 'fast-check';
import type { ActionFacts, Call, Credential } from '../../src/gate/call';
import { decide, type DecideOptions } from '../../src/gate/decide';
import type { Ending, TickItem, Verdict } from '../../src/gate/items';
import { BytesInFlight, KeptBytes } from '../../src/gate/load/kept-bytes';
import type { RateLimit } from '../../src/gate/rate-limit';
import type { TickState } from '../../src/gate/tick/rows';
import { actionKey } from '../../src/gate/tick/tick-store';
import { LedgerKind } from '../../src/wallet/ledger-entry.entity';
import { post, refusalOf } from '../../src/wallet/ledger-account';
import { DAY_MS, KEYS, Model, PROJECTS } from './ledger-model';
import { TickMemory } from './tick-memory';

export const START_MS = 1_795_000_000_000;
const MARGIN_MS = 30_000;
const LARGE = 1024 * 1024;
const PRICES = [0, 1, 3, 1000];
const TIMEOUTS = [100, 5_000];
const ACTIONS: ActionFacts[] = PRICES.flatMap((priceMicroCredits) =>
  TIMEOUTS.map((timeoutMs) => ({
    service: 'demo',
    name: `demo.${priceMicroCredits}.${timeoutMs}`,
    priceMicroCredits,
    unitPrices: [],
    maxChargeMicroCredits: null,
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
      requestId: fc.option(fc.nat({ max: 3 })),
      body: fc.nat({ max: 1 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      hold: index,
      how: fc.constantFrom('post' as const, 'post' as const, 'void' as const, 'expire' as const, 'large' as const),
    }),
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
    const attempts = items.flatMap((each) => (each.kind === 'settlement' ? [each.hold.attempt] : []));
    const { writes, verdicts } = decide(items, this.read(attempts, locked), this.options());
    expect(verdicts).toHaveLength(items.length);
    items.forEach((each, at) => {
      const verdict = verdicts[at] as Verdict;
      this.seen[labelOf(verdict)] = (this.seen[labelOf(verdict)] ?? 0) + 1;
      if (each.kind === 'admission') this.checkAdmission(each, verdict, model, locked);
      else if (each.kind === 'settlement') this.checkSettlement(each, verdict, model, locked);
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
    const { priceMicroCredits, timeoutMs } = ACTIONS.find(({ name }) => name === call.action) as ActionFacts;
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
    const amount = key.environment === 'TEST' ? 0 : priceMicroCredits;
    const body = Number(call.fingerprint);
    const expected = model.expects({ key, claim, body, amount }, this.now);
    expect(labelOf(verdict)).toBe(expected);
    if (verdict.kind === 'admitted') {
      const expiresAt = this.now + timeoutMs + MARGIN_MS;
      model.admit(verdict.hold.attempt, { projectId: key.projectId, claim, amount, expiresAt, state: 'OPEN' }, body);
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
    if (attempt.state === 'OPEN') {
      const large = ending.kind === 'posted' && ending.answer({ chargedMicroCredits: 0, budgetAvailableMicroCredits: 0 }).length > LARGE;
      model.end(hold.attempt, ending.kind === 'posted' ? 'SUCCEEDED' : ending.kind === 'voided' ? 'FAILED' : 'EXPIRED', this.now, large);
    }
    const chargedMicroCredits = attempt.state === 'SUCCEEDED' ? attempt.amount : 0;
    const billing = { chargedMicroCredits, budgetAvailableMicroCredits: model.spendable(attempt.projectId) };
    expect(verdict).toMatchObject({ kind: 'settled', outcome: attempt.state, billing });
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
    const hold = pick([...this.memory.holds.values()], wanted.hold);
    return hold ? [{ kind: 'settlement', hold: { ...hold }, ending: endingOf(wanted.how) }] : [];
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
  private read(attempts: string[], locked: string[]): TickState {
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
      ...this.memory.read(this.now * 1000, attempts, locked),
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

export function endingOf(how: 'post' | 'large' | 'void' | 'expire'): Ending {
  if (how === 'expire') return { kind: 'expired' };
  if (how === 'void') return { kind: 'voided', outcome: 'FAILED', errorCode: 'NO_FACE', httpStatus: 200, actionMs: 1, arrivedAt: 0 };
  const answer = () => (how === 'large' ? 'x'.repeat(LARGE + 1) : '{}');
  return { kind: 'posted', usage: null, httpStatus: 200, answer, actionMs: 1, arrivedAt: 0 };
}

function labelOf(verdict: Verdict): string {
  return verdict.kind === 'refused' ? verdict.refusal.code : verdict.kind;
}
