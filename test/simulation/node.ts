import type { ActionOutcome } from '../../src/actions/runner';
import type { Database } from '../../src/db/database';
import { Gate, type ExecuteRequest } from '../../src/gate/gate';
import { SWEEP_INTERVAL_MS, Sweep } from '../../src/gate/sweep';
import { hmacSha256 } from '../../src/lib/hmac';
import type { Time } from '../../src/lib/time';
import { httpStatusOf } from '../../src/rest/status';
import type { Auditor } from './auditor';
import type { SimulatedCall, SimulatedResult } from './simulated-call';
import type { Client } from './connection';
import { SERVICE, type ModelDatabase } from './database';
import type { Network } from './faults';
import { forward, usageOf } from './forward';
import type { Scheduler } from './scheduler';
import { SimulatedTickStore } from './tick-store';
import { useHold, verify, type HoldRequest } from './verify';

export const digest = hmacSha256('pepper-of-the-simulation');

export interface Upstreams {
  /** Runs an action of execute. */
  act(node: SimulatedNode, timeoutMs: number): Promise<ActionOutcome>;
  /** Answers a call of a route, after `upstreamMs`. */
  answer(node: SimulatedNode, upstreamMs: number): Promise<ActionOutcome>;
}

export interface NodeDeps {
  scheduler: Scheduler;
  database: ModelDatabase;
  network: Network;
  auditor: Auditor;
  upstreams: Upstreams;
  /** Called when a caller has received its answer. */
  heard(call: SimulatedCall): void;
  limits: { maxCalls: number; maxBytes: number; maxBytesEach: number };
  maxTickBytes: number;
}

/** One process of a node, from its start to its death: the real gate and the real sweep, with a separate clock. */
export class SimulatedNode implements Client {
  dead = false;
  suspendedUntil = 0;
  cutOffUntil = 0;
  private readonly gate: Gate;
  private readonly sweep: Sweep;
  private readonly store: SimulatedTickStore;
  private readonly clock: { offsetMs: number; speed: number };

  constructor(
    readonly name: string,
    private readonly deps: NodeDeps,
  ) {
    const { scheduler, database, network, auditor, upstreams } = deps;
    const { random } = scheduler;
    this.clock = { offsetMs: random.between(0, 1e7), speed: random.between(0.99, 1.01) };
    const time: Time = {
      now: () => this.nowMs(),
      wait: (ms) => scheduler.wait(this, ms / this.clock.speed),
      nextTurn: () => scheduler.wait(this, random.chance(0.5) ? 0 : random.between(0, 0.2)),
      afterPromises: () => scheduler.wait(this, 0),
    };
    const log = {
      error: ({ err }: { err?: unknown }, message: string) => scheduler.note(`${name} ${message}: ${String(err)}`),
      warn: () => undefined,
    };
    this.store = new SimulatedTickStore(this, database, network, deps.maxTickBytes);
    this.gate = new Gate({
      store: this.store,
      time,
      runner: {
        canRun: () => true,
        run: async (target, { attempt }) => {
          auditor.actionStarted(attempt);
          const outcome = await upstreams.act(this, target.timeoutMs);
          auditor.actionSaid(attempt, outcome.kind, usageOf(outcome));
          return outcome;
        },
        close: () => Promise.resolve(),
      },
      digest,
      keptAnswer: (claim) => this.store.keptAnswer(claim).catch(() => null),
      holdStore: this.store,
      database: {} as Database,
      httpStatusOf,
      limits: deps.limits,
      log,
    });
    this.sweep = new Sweep({ store: this.store, ticker: this.gate.ticker, time, log });
    // Replaces the real timers by simulated time
    clearInterval(this.gate['flushing']);
    this.gate['renewals'].close();
    this.every(1_000, () => this.gate['flushCounts']());
    this.every(1_000, async () => this.gate['renewals'].once());
    this.every(SWEEP_INTERVAL_MS, () => this.sweep.once().catch(() => undefined));
  }

  /** Lets the gate execute a call. */
  receive(call: SimulatedCall): void {
    const { scheduler, auditor, heard } = this.deps;
    scheduler.after(this, 0, () => {
      auditor.arrived(call, this);
      const repeatable = call.fingerprint === null ? '' : ` as ${call.requestId}/${call.fingerprint}`;
      const by = call.route ? ` through ${call.route.id} version ${call.route.version} for ${call.upstreamMs.toFixed(0)} ms` : '';
      const what = call.isVerified ? 'a hold for ' : '';
      scheduler.note(`${call.name} arrives at ${this.name}: ${what}${call.action} by ${call.keyId}${repeatable}${by}`);
      const request: ExecuteRequest = {
        secret: call.secret,
        credentialKind: 'API_KEY',
        namedProjectId: null,
        statedProjectId: null,
        service: SERVICE,
        action: call.action,
        requestId: call.requestId,
        fingerprint: call.fingerprint,
        paramsJson: '{}',
        debug: false,
        ip: null,
        userAgent: call.name,
        arrivedAt: this.nowMs(),
        kept: this.gate.keptBytes(),
        present: (dataJson, { chargedMicroCredits }) => `${call.name} ${chargedMicroCredits} ${dataJson}`,
      };
      void this.run(call, request).then((answer) => {
        auditor.answered(call, answer);
        heard(call);
      });
    });
  }

  private run(call: SimulatedCall, request: ExecuteRequest): Promise<SimulatedResult> {
    const { gate } = this;
    const { auditor, upstreams } = this.deps;
    if (call.isVerified) return verify(gate, request);
    if (!call.route) return gate.execute(request);
    return forward({ gate, auditor, answer: () => upstreams.answer(this, call.upstreamMs) }, { ...request, route: call.route });
  }

  /** Lets an asker settle, void or extend the hold of a call. */
  useHold(call: SimulatedCall, request: HoldRequest): void {
    this.deps.scheduler.after(this, 0, () => void useHold(this.gate, this.deps.auditor, call, request));
  }

  kill(): void {
    this.deps.scheduler.note(`${this.name} is killed`);
    this.dead = true;
    this.store.abandon();
  }

  /** Suspends the process for a while, unless it is suspended already. If its clock stands still meanwhile, it cannot notice. */
  suspend(ms: number, clockStands: boolean): void {
    if (this.suspendedUntil > this.deps.scheduler.now) return;
    this.deps.scheduler.note(`${this.name} is suspended for ${ms.toFixed(0)} ms${clockStands ? ', its clock too' : ''}`);
    this.suspendedUntil = this.deps.scheduler.now + ms;
    if (!clockStands) return;
    this.deps.auditor.mayStartLate = true;
    // With a stopped clock real timers would fire later. Here they fire on time, which does not weaken any check.
    this.clock.offsetMs -= ms * this.clock.speed;
  }

  jumpClock(ms: number): void {
    this.clock.offsetMs += ms;
  }

  cutOff(ms: number): void {
    this.deps.scheduler.note(`${this.name} is cut off from the database for ${ms.toFixed(0)} ms`);
    this.cutOffUntil = this.deps.scheduler.now + ms;
  }

  private nowMs(): number {
    return this.clock.offsetMs + this.deps.scheduler.now * this.clock.speed;
  }

  private every(ms: number, work: () => Promise<void>): void {
    const next = (): void => {
      void work().then(() => this.deps.scheduler.after(this, ms, next));
    };
    this.deps.scheduler.after(this, this.deps.scheduler.random.between(0, ms), next);
  }
}
