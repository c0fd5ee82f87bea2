import type { CredentialKind } from '../access/secret';
import type { ActionCall, ActionError, ActionOutcome, Runner } from '../actions/runner';
import { TollgateError, type ErrorCode } from '../errors';
import { randomBase62 } from '../lib/id';
import type { Log } from '../lib/log';
import type { Time } from '../lib/time';
import { galleryId } from '../tenancy/project.entity';
import { Admissions } from './admissions';
import { BodyOwners } from './body-owners';
import type { Call } from './call';
import { HOLD_MARGIN_MS, rateRefusal, type Billing, type Ending, type RateReport, type Verdict } from './decide';
import { BytesInFlight, KeptBytes } from './kept-bytes';
import { Load } from './load';
import { LookUps } from './look-ups';
import { RefusalMemory } from './refusals';
import type { ClaimName, HoldRow } from './rows';
import type { TickStore } from './tick-store';
import { Ticker } from './ticker';

/** Refusals that were answered from memory are added to the counts this often. */
const COUNT_FLUSH_MS = 1_000;

/** A call as its server parsed it. */
export interface ExecuteRequest {
  /** In the form of a secret, its checksum right. */
  secret: string;
  credentialKind: CredentialKind;
  /** The project that it names; null where it names none, or its kind of credential works in one alone. */
  namedProjectId: string | null;
  /** The project that it names, whatever its credential; null where it names none. */
  statedProjectId: string | null;
  service: string;
  action: string;
  /** A UUID in lower case. */
  requestId: string;
  /** SHA-256 of service and raw body where the caller chose the requestId, else null. */
  fingerprint: string | null;
  /** The JSON text of an object, as its caller wrote it. */
  paramsJson: string;
  debug: boolean;
  ip: string | null;
  userAgent: string | null;
  /** By `performance.now()`. */
  arrivedAt: number;
  /** Of its body; then of its answer. */
  kept: KeptBytes;
  /** The body to answer a success with, and to keep for those who repeat it. */
  present(dataJson: string, billing: Billing): string;
}

export type ExecuteResult =
  | { kind: 'succeeded'; body: string; rate: RateReport }
  | { kind: 'replayed'; body: string; rate: RateReport }
  | { kind: 'saidNo'; httpStatus: number; errors: ActionError[]; billing: Billing; rate: RateReport }
  | { kind: 'error'; code: ErrorCode; details: Record<string, unknown>; rate?: RateReport | undefined };

export interface GateDeps {
  store: TickStore;
  time: Time;
  runner: Runner;
  digest(text: string): string;
  /** The answer that a success's claim keeps, or null where it is gone. */
  keptAnswer(claim: ClaimName): Promise<string | null>;
  httpStatusOf(code: ErrorCode): number;
  limits: { maxCalls: number; maxBytes: number; maxBytesEach: number };
  log: Log;
}

type Admitted = Extract<Verdict, { kind: 'admitted' }>;

/** Decides, runs and bills calls. */
export class Gate {
  readonly ticker: Ticker;
  readonly lookUps: LookUps;
  private readonly admissions: Admissions;
  private readonly load: Load;
  private readonly bytesInFlight: BytesInFlight;
  private readonly refusals = new RefusalMemory();
  private readonly flushing: NodeJS.Timeout;
  private flushed: Promise<void> = Promise.resolve();

  constructor(private readonly deps: GateDeps) {
    this.load = new Load(deps.limits);
    this.bytesInFlight = new BytesInFlight(deps.limits);
    const { store, time } = deps;
    const onFailure = (error: unknown, what: string) => deps.log.warn({ err: error }, `gate: ${what} failed`);
    this.ticker = new Ticker({
      store,
      time,
      decide: {
        process: randomBase62(12),
        httpStatusOf: deps.httpStatusOf,
        logsRefusal: (credentialId, nowMs) => this.refusals.logsRefusal(credentialId, nowMs),
      },
      onFailure,
    });
    this.lookUps = new LookUps({ store, time, onFailure });
    this.admissions = new Admissions({
      lookUps: this.lookUps,
      ticker: this.ticker,
      reserve: (call, project) => {
        if (call.placeInProject !== null) this.load.leaveProject(call.placeInProject); // it looked as if it were for another project
        call.placeInProject = null;
        if (!this.load.enterProject(project)) return false;
        call.placeInProject = project;
        return call.kept.moveTo(project);
      },
    });
    this.flushing = setInterval(() => void this.flushCounts(), COUNT_FLUSH_MS).unref();
  }

  /** What a request keeps: nothing yet. */
  keptBytes(): KeptBytes {
    return new KeptBytes(this.bytesInFlight);
  }

  /** Finds who large bodies are charged to; `now` is the database's clock. */
  bodyOwners(now: () => Promise<Date>): BodyOwners {
    const { lookUps, admissions } = this;
    return new BodyOwners({ known: (ref) => admissions.known(ref), lookUps, digest: (secret) => this.deps.digest(secret), now });
  }

  /** Counts one more refusal of a secret that belongs to nobody, and writes nothing now: whoever makes secrets up costs no transaction each. */
  countUnknown(): void {
    this.refusals.countUnknown();
  }

  /**
   * Admits a call, runs its action, bills a success, and gives what its caller is to be answered; once admitted it runs to its end,
   * whether or not anybody still waits. Never rejects.
   */
  async execute(request: ExecuteRequest): Promise<ExecuteResult> {
    if (!this.load.enter()) return { kind: 'error', code: 'SERVICE_UNAVAILABLE', details: {} };
    const call: Call = {
      credentialKind: request.credentialKind,
      digest: this.deps.digest(request.secret),
      namedProjectId: request.namedProjectId,
      statedProjectId: request.statedProjectId,
      service: request.service,
      action: request.action,
      requestId: request.requestId,
      fingerprint: request.fingerprint,
      ip: request.ip,
      userAgent: request.userAgent,
      arrivedAt: request.arrivedAt,
      waitsSince: this.deps.time.now(),
      kept: request.kept,
      placeInProject: null,
    };
    try {
      const known = this.refusals.recall(call, this.deps.time.now());
      // A read without a transaction or a lock, for all such calls at once: a limit that was raised counts from the next call
      if (known && this.refusals.confirm(call, known, await this.lookUps.find(call, call.waitsSince))) {
        return { kind: 'error', ...rateRefusal(known.rate), rate: known.rate };
      }
      const verdict = await this.admissions.admit(call);
      if (verdict.kind === 'admitted') return await this.run(request, call, verdict);
      return await this.answerWithoutRunning(call, verdict);
    } catch (error) {
      return this.failure(error, call);
    } finally {
      if (call.placeInProject !== null) this.load.leaveProject(call.placeInProject);
      this.load.leave();
    }
  }

  private async answerWithoutRunning(call: Call, verdict: Verdict): Promise<ExecuteResult> {
    switch (verdict.kind) {
      case 'refused': {
        const { refusal, credential, rate } = verdict;
        if (!credential) this.countUnknown();
        if (refusal.code === 'RATE_LIMITED' && credential && rate) this.refusals.remember(call, credential, rate);
        return { kind: 'error', ...refusal, rate };
      }
      case 'replay': {
        const body = await this.keptAnswer(verdict.claim);
        // Gone in this very moment, as its 24 hours are over: the next try is a new call. Or too much waits to be read
        return body === null || !call.kept.keep(body.length) ? { kind: 'error', code: 'SERVICE_UNAVAILABLE', details: {} } : { kind: 'replayed', body, rate: verdict.rate };
      }
      default:
        throw new Error(`A call was judged ${verdict.kind}.`);
    }
  }

  private failure(error: unknown, call: Call, rate?: RateReport): ExecuteResult {
    const code = error instanceof TollgateError ? error.code : 'INTERNAL';
    if (code === 'INTERNAL') this.deps.log.error({ err: error, requestId: call.requestId }, 'gate: a call failed');
    return { kind: 'error', code, details: {}, rate };
  }

  /** Waits for the calls in flight, those too whose callers hung up, and writes down the last counts. */
  async close(): Promise<void> {
    clearInterval(this.flushing);
    await this.load.idle();
    await this.flushCounts();
  }

  /** The database may go away between the tick that found it and this read: that is no bug. */
  private async keptAnswer(claim: ClaimName): Promise<string | null> {
    try {
      return await this.deps.keptAnswer(claim);
    } catch (error) {
      this.deps.log.warn({ err: error }, 'gate: reading a kept answer failed');
      throw new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error });
    }
  }

  /** Runs the action, settles the hold, and gives what the caller is to read. */
  private async run(request: ExecuteRequest, call: Call, admitted: Admitted): Promise<ExecuteResult> {
    const { hold, action, rate } = admitted;
    const { time, runner } = this.deps;
    const startedAt = time.now();
    if (startedAt > rate.asOfMs + HOLD_MARGIN_MS) {
      this.ticker.cancel(hold, call.arrivedAt);
      return { kind: 'error', code: 'SERVICE_UNAVAILABLE', details: {} };
    }
    try {
      const outcome = await runner.run(action, toActionCall(request, admitted));
      const ending = this.endingOf(outcome, request, call, time.now() - startedAt);
      const keptBytes = hold.claimed && outcome.kind === 'ok' ? outcome.dataJson.length : 0;
      const settled = await this.ticker.settle({ kind: 'settlement', hold, ending }, rate.asOfMs + action.timeoutMs + HOLD_MARGIN_MS, keptBytes);
      // Expired: the sweep was faster, for this process was away too long; then nothing was billed, and the log says EXPIRED
      if (settled.kind !== 'settled' || settled.outcome === 'EXPIRED') throw new TollgateError('OUTCOME_UNKNOWN');
      const { billing, answer } = settled;
      if (outcome.kind === 'no') return { kind: 'saidNo', httpStatus: httpStatusOfNo(outcome), errors: outcome.errors, billing, rate };
      if (outcome.kind === 'broke') return { kind: 'error', code: outcome.code, details: {}, rate };
      const body = answer ?? (await this.earlierAnswer(hold)) ?? request.present(outcome.dataJson, billing);
      call.kept.keepAnyway(body.length);
      return { kind: 'succeeded', body, rate };
    } catch (error) {
      return this.failure(error, call, rate);
    }
  }

  private endingOf(outcome: ActionOutcome, request: ExecuteRequest, { arrivedAt }: Call, actionMs: number): Ending {
    switch (outcome.kind) {
      case 'ok':
        return { kind: 'posted', answer: (billing) => request.present(outcome.dataJson, billing), actionMs, arrivedAt };
      case 'no': {
        const errorCode = outcome.errors[0]?.code ?? 'ACTION_FAILED';
        return { kind: 'voided', outcome: 'FAILED', errorCode, httpStatus: httpStatusOfNo(outcome), actionMs, arrivedAt };
      }
      case 'broke': {
        const { code: errorCode, cause } = outcome;
        this.deps.log.warn({ requestId: request.requestId, service: request.service, action: request.action, cause }, `gate: ${errorCode}`);
        return { kind: 'voided', outcome: 'FAILED', errorCode, httpStatus: this.deps.httpStatusOf(errorCode), actionMs, arrivedAt };
      }
    }
  }

  /** What an earlier try, whose commit was never answered, kept for those who repeat the call: all are to read the same. */
  private async earlierAnswer(hold: HoldRow): Promise<string | null> {
    return hold.claimed ? this.keptAnswer(hold).catch(() => null) : null; // billed it is: its caller is to hear so in any case
  }

  /** One after the other, so that who waits for the last has waited for all. */
  private flushCounts(): Promise<void> {
    return (this.flushed = this.flushed.then(() => this.writeCounts()));
  }

  private async writeCounts(): Promise<void> {
    const counts = this.refusals.takeCounts().map((counted) => this.ticker.count(counted));
    for (const result of await Promise.allSettled(counts)) {
      if (result.status === 'rejected') this.deps.log.warn({ err: result.reason as unknown }, 'gate: refusals were not counted');
    }
  }
}

const httpStatusOfNo = ({ httpStatus = 200 }: Extract<ActionOutcome, { kind: 'no' }>): number => httpStatus;

/** What a runner is told of a call. */
function toActionCall({ paramsJson, debug }: ExecuteRequest, { hold, credential }: Admitted): ActionCall {
  const { projectId, workspaceId, environment, galleryMode } = credential;
  const keyId = credential.credentialKind === 'API_KEY' ? credential.id : null;
  return {
    attempt: hold.attempt,
    action: hold.action,
    requestId: hold.requestId,
    paramsJson,
    debug,
    context: { workspaceId, projectId, credentialId: credential.id, keyId, environment, galleryId: galleryId({ id: projectId, workspaceId, galleryMode }) },
  };
}
