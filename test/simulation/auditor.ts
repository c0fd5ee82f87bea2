import type { Usage } from '../../src/actions/unit-prices';
import type { HoldRow, LogRow, TickWrites } from '../../src/gate/tick/rows';
import { AccountAudit } from './audit-accounts';
import { EndAudit } from './audit-ends';
import { amountToHold, ChargeAudit } from './audit-charges';
import { HoldAudit } from './audit-holds';
import { RateAudit } from './audit-rate';
import type { CommitObserver, ModelDatabase, Session } from './database';
import type { Scheduler } from './scheduler';
import type { Prices } from './tables';
import { ROUTE_PACE, type ActionOutcome, type Attempt, type Prohibition, type Server, type SimulatedCall, type SimulatedResult } from './simulated-call';
import { VERIFY_PACE, type HoldAnswer, type HoldRequest } from './verify';

// Watches commits, running actions and answers to callers. It does not depend on how the gate works.

const DAY_MS = 24 * 60 * 60 * 1000;
/** Covers the time between a tick's decision and its commit, and a clock that goes back. */
const SLACK_MS = 60_000;
/** The hold of execute lasts so much longer than its action may. */
const MARGIN_MS = 30_000;
/** A call of a route learns within this time that its hold is lost: the interval of its renewals, and a few seconds. */
const TOLD_MS = 35_000;

/** Error codes of calls that may have been admitted. Only after OUTCOME_UNKNOWN there may be a bill. */
const AFTER_ADMISSION = new Set(['SERVICE_UNAVAILABLE', 'INTERNAL', 'OUTCOME_UNKNOWN', 'UPSTREAM_FAILED', 'UPSTREAM_TIMEOUT']);

/** Error codes of calls that have lost their holds. INTERNAL: the database also refused to store the success. */
const UNBILLED = new Set(['OUTCOME_UNKNOWN', 'INTERNAL']);

/** Refusals that come after the rate check: these calls count for the rate too. */
const hasPassedTheRate = ({ outcome, errorCode }: LogRow): boolean => outcome === 'REFUSED' && AFTER_RATE.has(errorCode ?? '');
const AFTER_RATE = new Set(['PAYMENT_REQUIRED', 'REQUEST_ID_REUSED', 'REQUEST_IN_PROGRESS', 'REPLAY_UNAVAILABLE']);

export class Auditor implements CommitObserver {
  readonly calls = new Map<string, SimulatedCall>();
  readonly prohibitions: Prohibition[] = [];
  /** The prices of each action, oldest first. */
  readonly prices = new Map<string, Prices[]>();
  /** True once a process slept while its clock stood still. It cannot know that a hold has expired, so it may start an action unbilled. */
  mayStartLate = false;
  private readonly attempts = new Map<string, Attempt>();
  /** The attempts of each requestId that a caller chose. */
  private readonly claimed = new Map<string, Attempt[]>();
  private readonly accounts: AccountAudit;
  private readonly rates: RateAudit;
  private readonly charges: ChargeAudit;
  private readonly ends: EndAudit;
  private holds!: HoldAudit;
  private database!: ModelDatabase;
  /** Calls of routes whose upstream still answers. */
  private readonly running = new Set<Attempt>();
  /** Simulated time since when there are no faults. Infinity before that. */
  private calmSince = Infinity;

  constructor(private readonly scheduler: Scheduler) {
    this.accounts = new AccountAudit(this.fail);
    this.rates = new RateAudit(this.fail);
    this.charges = new ChargeAudit(this.fail);
    this.ends = new EndAudit(this.fail);
  }

  watch(database: ModelDatabase): void {
    this.database = database;
    const { clock, tables } = database;
    this.holds = new HoldAudit({
      fail: this.fail,
      simulatedMs: () => this.scheduler.now,
      clock,
      tables,
      termsOf: (attempt) => {
        const call = this.attempts.get(attempt)?.call;
        if (!call) return { name: 'an unknown attempt', lastsMs: 0, atMostMs: 0 };
        if (call.isVerified) return { name: call.name, ...VERIFY_PACE };
        if (call.route) return { name: call.name, ...ROUTE_PACE };
        const lastsMs = (tables.actions.get(call.action)?.timeoutMs ?? 0) + MARGIN_MS;
        return { name: call.name, lastsMs, atMostMs: lastsMs };
      },
    });
  }

  private readonly fail = (problem: string): void => this.scheduler.fail(problem);

  tickCommitted(session: Session, writes: TickWrites): void {
    // Logs come before holds: one tick may end an expired hold and admit the next call of the same requestId.
    const nowMs = Math.floor(session.nowUs / 1000);
    for (const log of writes.logs) this.logCommitted(log, writes, nowMs);
    const verified = writes.singleHolds.filter(({ attempt }) => !this.attempts.has(attempt));
    const holds = [...writes.holds, ...verified];
    for (const hold of holds) this.holdCommitted(hold);
    this.holds.committed(writes, verified, nowMs);
    this.charges.check({ ...writes, holds }, this.database.tables, ({ id }) => {
      const attempt = this.attempts.get(id);
      return attempt && { ...attempt, isTest: attempt.call.isTest, held: attempt.hold.amount };
    });
    for (const { requestLogId } of writes.entries) {
      if (!writes.logs.some((log) => log.id === requestLogId))
        this.scheduler.fail(`an entry bills ${this.nameOf(requestLogId)} without a log row in the same tick`);
    }
    for (const [id, limit] of session.limits) {
      const passed = [...holds, ...writes.logs.filter(hasPassedTheRate)].filter(({ projectId }) => projectId === id).length;
      const isWritten = writes.budgets.some((budget) => budget.id === id);
      if (isWritten || passed > 0) this.rates.check(id, session.readAtUs, limit, passed);
    }
    this.accountsChanged(writes.budgets.map(({ id }) => id));
  }

  accountsChanged(ids: string[]): void {
    for (const id of ids) this.accounts.check(this.database.tables, id);
  }

  private holdCommitted(hold: HoldRow): void {
    const call = this.calls.get(String(hold.userAgent));
    if (!call) return this.scheduler.fail('a hold was committed for an unknown call');
    if (call.attempt) this.scheduler.fail(`${call.name} was admitted twice`);
    const prices = (this.prices.get(call.action) ?? []).slice(call.priceIndex);
    const attempt: Attempt = {
      hold,
      call,
      isOpen: true,
      runs: 0,
      actionOutcome: undefined,
      prices: call.isTest ? prices : prices.filter((each) => amountToHold(each) === hold.amount),
      usage: null,
      isLost: false,
      log: undefined,
      loggedAtMs: 0,
      endedAt: 0,
    };
    call.attempt = attempt;
    this.attempts.set(hold.attempt, attempt);
    const forbidden = call.forbiddenBy.find(({ lifted }) => !lifted);
    if (forbidden) this.scheduler.fail(`${call.name} was admitted after ${forbidden.text} had answered`);
    if (attempt.prices.length === 0 || (call.isTest && hold.amount !== 0))
      this.scheduler.fail(`${call.name} was admitted at ${hold.amount}, which was not its price at any time since it arrived`);
    if (call.fingerprint !== null) this.checkRepeats(attempt);
  }

  private checkRepeats(attempt: Attempt): void {
    const { call } = attempt;
    const key = `${call.keyId} ${call.requestId}`;
    const earlier = this.claimed.get(key) ?? [];
    for (const other of earlier) {
      if (other.isOpen) this.scheduler.fail(`${call.name} was admitted while ${other.call.name} with the same requestId still runs`);
      const answeredAtMs = call.isVerified ? other.hold.startedAt : other.loggedAtMs; // a hold is the answer of a verification
      const sinceMs = this.database.clock.nowMs() - answeredAtMs;
      if (other.log?.outcome === 'SUCCEEDED' && sinceMs < DAY_MS - SLACK_MS) {
        this.scheduler.fail(`${call.name} was admitted although ${other.call.name} with the same requestId has succeeded`);
      }
    }
    this.claimed.set(key, [...earlier, attempt]);
  }

  private logCommitted(log: LogRow, { endedHolds, endedSingleHolds, entries }: TickWrites, nowMs: number): void {
    const name = String(log.userAgent);
    const attempt = this.attempts.get(log.id);
    const bills = entries.filter((entry) => entry.requestLogId === log.id);
    const billed = bills.reduce((sum, { delta }) => sum - delta, 0);
    if (bills.length !== (log.chargedMicroCredits > 0 ? 1 : 0) || billed !== log.chargedMicroCredits) {
      this.scheduler.fail(`the log of ${name} says ${log.chargedMicroCredits}, but ${bills.length} entries bill ${billed}`);
    }
    if (!attempt) {
      if (log.outcome !== 'REFUSED' || billed !== 0)
        this.scheduler.fail(`${name} has a log row that says ${log.outcome}, but was never admitted`);
      return;
    }
    if (!attempt.isOpen || ![...endedHolds, ...endedSingleHolds].includes(log.id))
      this.scheduler.fail(`${name} was logged ${log.outcome}, but its hold was not ended in the same tick`);
    attempt.isOpen = false;
    attempt.log = log;
    attempt.loggedAtMs = this.database.clock.nowMs();
    attempt.endedAt = this.scheduler.now;
    if (log.outcome !== 'SUCCEEDED' && billed !== 0) this.scheduler.fail(`${name} was billed for ${log.outcome}`);
    if (attempt.call.isVerified) {
      if (!this.ends.isAsked(name, log)) this.scheduler.fail(`the hold of ${name} ended as ${log.outcome}, which nobody asked for`);
      if (log.outcome === 'SUCCEEDED' && this.holds.isOver(log.id, nowMs))
        this.scheduler.fail(`the hold of ${name} was settled after its time`);
      attempt.usage = log.usage;
      return;
    }
    if (log.outcome !== 'SUCCEEDED') return;
    if (attempt.actionOutcome !== 'ok')
      this.scheduler.fail(`${name} is logged SUCCEEDED, but its action ended ${String(attempt.actionOutcome)}`);
    if (attempt.isLost) this.scheduler.fail(`${name} is logged SUCCEEDED, but was told that its hold is lost`);
  }

  /** Notes that a call reaches a node, with the prohibitions and the price of that moment. */
  arrived(call: SimulatedCall, server: Server): void {
    call.server = server;
    call.arrivedAt = this.scheduler.now;
    call.forbiddenBy = this.prohibitions.filter((prohibition) => !prohibition.lifted && prohibition.forbids(call));
    call.isKnown = this.database.tables.secrets.has(call.digest);
    call.priceIndex = (this.prices.get(call.action)?.length ?? 1) - 1;
  }

  actionStarted(id: string): void {
    const attempt = this.attempts.get(id);
    if (!attempt) return this.scheduler.fail('an action runs for an attempt whose hold is not committed');
    attempt.runs += 1;
    if (attempt.runs > 1) this.scheduler.fail(`the action of ${attempt.call.name} runs a second time`);
    if (!attempt.isOpen && !this.mayStartLate) this.scheduler.fail(`the action of ${attempt.call.name} runs after its hold has ended`);
    if (attempt.call.route) this.running.add(attempt);
  }

  actionSaid(id: string, outcome: ActionOutcome, usage: Usage | null = null): void {
    const attempt = this.attempts.get(id);
    if (attempt) Object.assign(attempt, { actionOutcome: outcome, usage });
    const used = usage ? ` with ${JSON.stringify(usage)}` : '';
    this.scheduler.note(`the action of ${attempt?.call.name ?? 'an unknown call'} ended: ${outcome}${used}`);
  }

  /** Notes that the gate has told a call that its hold is lost. */
  holdLost(id: string): void {
    const attempt = this.attempts.get(id);
    if (!attempt) return this.scheduler.fail('a hold is lost that was never committed');
    const { call, log } = attempt;
    this.scheduler.note(`${call.name} is told that its hold is lost`);
    if (attempt.isLost || attempt.actionOutcome !== undefined || call.result)
      this.scheduler.fail(`${call.name} was told that its hold is lost after its end`);
    if (log && log.outcome !== 'EXPIRED') this.scheduler.fail(`${call.name} was told that its hold is lost, but it is ${log.outcome}`);
    if (this.scheduler.now > Math.max(this.calmSince, (call.server?.suspendedUntil ?? 0) + TOLD_MS) && this.holds.isAlive(id))
      this.scheduler.fail(`${call.name} was told that its hold is lost, but it is open`);
    attempt.isLost = true;
  }

  /** Notes that there are no more faults after `at`, or that there are some again. */
  calmFrom(at: number): void {
    this.calmSince = at;
  }

  /** While there are no faults, checks that holds end in time, and that calls learn of it. */
  resting(): void {
    const { now } = this.scheduler;
    if (now <= this.calmSince) return;
    this.holds.resting(this.calmSince);
    for (const attempt of this.running) {
      const { call, isOpen, endedAt, isLost } = attempt;
      if (call.result || isLost || call.server?.dead) this.running.delete(attempt);
      else if (!isOpen && now > Math.max(this.calmSince, endedAt, call.server?.suspendedUntil ?? 0) + TOLD_MS)
        this.scheduler.fail(`${call.name} was not told that its hold is lost`);
    }
  }

  /** Checks the answer that a caller receives. */
  answered(call: SimulatedCall, result: SimulatedResult): void {
    this.scheduler.note(`${call.name} is answered ${describe(result)}`);
    call.result = result;
    const log = call.attempt?.log;
    switch (result.kind) {
      case 'succeeded':
        this.checkSuccess(call, call.name, result.body);
        break;
      case 'replayed':
        this.checkReplay(call, result.body);
        break;
      case 'held':
        this.checkHeld(call, result.body);
        break;
      case 'saidNo':
        if (log?.outcome !== 'FAILED' || call.attempt?.actionOutcome !== 'no') {
          this.scheduler.fail(`${call.name} was told that its action said no, which is not logged`);
        }
        break;
      case 'error':
        if (result.code === 'INVALID_API_KEY' && call.isKnown)
          this.scheduler.fail(`${call.name} has a known secret, but was told INVALID_API_KEY`);
        if (result.code.startsWith('UPSTREAM_') && log?.outcome !== 'FAILED')
          this.scheduler.fail(`${call.name} was told ${result.code}, which is not logged`);
        break;
      case 'rerouted':
        this.checkRerouted(call);
        break;
    }
    if (log?.outcome === 'EXPIRED' && call.attempt?.runs === 1 && !(result.kind === 'error' && UNBILLED.has(result.code)))
      this.scheduler.fail(`${call.name} lost its hold, but was told ${describe(result)}`);
  }

  private checkHeld(call: SimulatedCall, body: string): void {
    const [name, attempt] = body.split(' ', 2);
    const holder = this.calls.get(name ?? '');
    const isSame = holder?.keyId === call.keyId && holder.requestId === call.requestId && holder.fingerprint === call.fingerprint;
    if (!isSame || (holder !== call && call.fingerprint === null))
      this.scheduler.fail(`${call.name} got the hold of another, ${String(name)}`);
    if (holder?.attempt?.hold.attempt !== attempt) this.scheduler.fail(`${call.name} was told of a hold that was never committed`);
    const forbidden = holder !== call && call.forbiddenBy.find(({ lifted }) => !lifted);
    if (forbidden) this.scheduler.fail(`${call.name} got a hold after ${forbidden.text} had answered`);
  }

  /** The call that has the hold of which an asker was told. */
  holderIn(body: string): SimulatedCall | undefined {
    return this.calls.get(body.split(' ', 1)[0] ?? '');
  }

  /** Notes that an asker sends a request about the hold of a call. */
  asksForEnd({ name }: SimulatedCall, request: HoldRequest): void {
    this.scheduler.note(`an asker sends ${JSON.stringify(request)} for ${name}`);
    this.ends.asks(name, request);
  }

  heardOfEnd({ name, attempt }: SimulatedCall, request: HoldRequest, answer: HoldAnswer): void {
    this.scheduler.note(`an asker of ${name} is answered ${'text' in answer ? answer.text : answer.code}`);
    this.ends.heard(name, request, answer, attempt?.log);
  }

  private checkRerouted({ name, route, attempt, arrivedAt }: SimulatedCall): void {
    const present = this.database.tables.routes.get(route?.id ?? '');
    if (attempt) this.scheduler.fail(`${name} was admitted, but told that its route has changed`);
    if (!route || (present?.enabled && present.version === route.version && present.changedAt < arrivedAt))
      this.scheduler.fail(`${name} was told that its route has changed, but it has not`);
  }

  private checkSuccess(call: SimulatedCall, told: string, body: string): void {
    const [name, charged] = body.split(' ');
    const log = this.calls.get(told)?.attempt?.log;
    if (name !== told || log?.outcome !== 'SUCCEEDED' || String(log.chargedMicroCredits) !== charged) {
      this.scheduler.fail(
        `${call.name} was told of a success of ${String(name)} for ${String(charged)}, but the log says ${String(log?.outcome)}`,
      );
    }
  }

  private checkReplay(call: SimulatedCall, body: string): void {
    const original = this.calls.get(body.split(' ', 1)[0] ?? '');
    this.checkSuccess(call, original?.name ?? '', body);
    const isRepeat = original?.keyId === call.keyId && original.requestId === call.requestId && original.fingerprint === call.fingerprint;
    if (!isRepeat || call.fingerprint === null)
      this.scheduler.fail(`${call.name} got the answer of another call, ${String(original?.name)}`);
    const forbidden = call.forbiddenBy.find(({ lifted }) => !lifted);
    if (forbidden) this.scheduler.fail(`${call.name} got an answer after ${forbidden.text} had answered`);
  }

  /** At rest, checks that no call waits, nothing is held, and every answer agrees with the tables. */
  atRest(): void {
    const { tables } = this.database;
    for (const call of this.calls.values()) this.callAtRest(call);
    for (const { hold, call, log } of this.attempts.values()) {
      if (!log || tables.logs.get(hold.attempt)?.outcome !== log.outcome)
        this.scheduler.fail(`${call.name} was admitted, but has no log row`);
      const isOpen = tables.holds.has(hold.attempt) || tables.singleHolds.has(hold.attempt);
      if (isOpen) this.scheduler.fail(`the hold of ${call.name} stays open for ever`);
    }
    for (const claim of tables.claims.values()) {
      if (claim.state === 'RUNNING') this.scheduler.fail(`the claim of ${this.nameOf(claim.attempt)} stays RUNNING for ever`);
    }
    for (const [keyId, counted] of tables.refusalCounts) {
      const made = [...this.calls.values()].filter((call) => (keyId === 'unknown' ? !call.isKnown : call.keyId === keyId)).length;
      if (counted > made) this.scheduler.fail(`${counted} refusals are counted for ${keyId}, but it made only ${made} calls`);
    }
    this.accounts.atRest(tables);
  }

  private callAtRest({ name, isVerified, server, result, attempt }: SimulatedCall): void {
    if (server && !server.dead && !result) this.scheduler.fail(`${name} waits for ever`);
    if (result?.kind !== 'error') return;
    if (isVerified && attempt && result.code !== 'OUTCOME_UNKNOWN')
      this.scheduler.fail(`${name} has opened a hold, but was told ${result.code}`);
    if (attempt?.log?.outcome === 'SUCCEEDED' && result.code !== 'OUTCOME_UNKNOWN')
      this.scheduler.fail(`${name} was billed, but told ${result.code}`);
    if (attempt && !AFTER_ADMISSION.has(result.code)) this.scheduler.fail(`${name} was admitted, but told ${result.code}`);
  }

  private nameOf(attempt: string | null): string {
    return this.attempts.get(attempt ?? '')?.call.name ?? 'an unknown attempt';
  }
}

function describe(result: SimulatedResult): string {
  switch (result.kind) {
    case 'error':
      return result.code;
    case 'saidNo':
      return 'no';
    case 'rerouted':
      return 'rerouted';
    case 'held':
      return `held ${result.body.split(' ', 1)[0]}`;
    default:
      return `${result.kind} ${result.body.slice(0, 40)}`;
  }
}
