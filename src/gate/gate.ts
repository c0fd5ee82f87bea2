import type { CredentialKind } from '../access/secret';
import type { ActionCall, ActionError, ActionOutcome, Runner } from '../actions/runner';
import type { Database } from '../db/database';
import { TollgateError, type ErrorCode } from '../errors';
import { randomBase62 } from '../lib/id';
import type { Log } from '../lib/log';
import type { Time } from '../lib/time';
import { galleryId } from '../tenancy/project.entity';
import { Admissions } from './admissions';
import { BodyOwners } from './load/body-owners';
import type { Call, RouteVersion, Verification } from './call';
import { UnknownCommit, rateRefusal, type Billing, type Ending, type RateReport, type Verdict, type Verified } from './items';
import type { HoldStore } from './hold-store';
import { BytesInFlight, KeptBytes } from './load/kept-bytes';
import { CallPlaces } from './load/call-places';
import { LookUps } from './look-ups';
import { RefusalMemory } from './load/refusals';
import { SelfReader } from './self';
import { OpenCall, type Admitted } from './open-call';
import { Renewals } from './renewals';
import type { ClaimName, HoldRow } from './tick/rows';
import type { TickStore } from './tick/tick-store';
import { Ticker } from './tick/ticker';
import { Verifications } from './verifications';
import { VerifiedHolds } from './verified-holds';

/** Interval at which refusals that were answered from memory are added to the counts. */
const COUNT_FLUSH_MS = 1_000;

/** A call as the REST server parsed it. */
export interface CallRequest {
  /** Has the form of a secret and a valid checksum. */
  secret: string;
  credentialKind: CredentialKind;
  /** The project that the call names. Null if it names none, or if its kind of credential works in a single project. */
  namedProjectId: string | null;
  /** The project that the call names, even if its credential works in one project only. Null if it names none. */
  statedProjectId: string | null;
  service: string;
  action: string;
  /** The route that chose the action. Absent for execute. */
  route?: RouteVersion;
  /** Time until the hold expires. Absent for execute: the time limit of the action and HOLD_MARGIN_MS. */
  holdMs?: number;
  /** A UUID in lower case. */
  requestId: string;
  /** SHA-256 of the request if the caller chose the requestId, otherwise null. */
  fingerprint: string | null;
  ip: string | null;
  userAgent: string | null;
  subject?: string | undefined;
  /** Time when the headers arrived, by `performance.now()`. */
  arrivedAt: number;
  /** Bytes in memory for the request's body, later for its answer. */
  kept: KeptBytes;
  /**
   * Makes the text to answer if a proxy runs the call. It is kept for repeats. Then the call is billed at once, or its credits are held if
   * its action has prices by unit. Absent if Tollgate runs the call.
   */
  pass?: (verified: Verified) => string;
}

/** A call of execute. */
export interface ExecuteRequest extends CallRequest {
  /** The JSON text of an object, exactly as the caller wrote it. */
  paramsJson: string;
  debug: boolean;
  /** Makes the body of a successful answer. It is sent, and kept for callers that repeat the request. */
  present(dataJson: string, billing: Billing): string;
}

/** A call that was refused, or whose action gave no answer. */
export interface Failure {
  kind: 'error';
  code: ErrorCode;
  details: Record<string, unknown>;
  rate?: RateReport | undefined;
}

/** The answer of an earlier call with the same requestId. */
export interface Replay {
  kind: 'replayed';
  body: string;
  rate: RateReport;
}

/** A call that a proxy may run now. */
export interface Passed {
  kind: 'passed';
  body: string;
  rate: RateReport | undefined;
}

/** `rerouted`: the route was changed since the request matched it. `passed` instead of `admitted`: a proxy runs the call. */
export type Admittance = { kind: 'admitted'; open: OpenCall } | { kind: 'rerouted' } | Passed | Replay | Failure;

/** `saidNo`: the action ran and refused, which is not billed. */
export type ExecuteResult =
  | { kind: 'succeeded'; body: string; rate: RateReport }
  | { kind: 'saidNo'; httpStatus: number; errors: ActionError[]; billing: Billing; rate: RateReport }
  | Replay
  | Failure;

export interface GateDeps {
  store: TickStore;
  time: Time;
  runner: Runner;
  digest(text: string): string;
  /** Reads the answer that the claim of a success keeps. Returns null if it was deleted. */
  /** Returns the answer of a call that is billed. Null if it was deleted or cannot be read. Never rejects. */
  keptAnswer(claim: ClaimName): Promise<string | null>;
  holdStore: HoldStore;
  database: Pick<Database, 'lookups' | 'now'>;
  httpStatusOf(code: ErrorCode): number;
  limits: { maxCalls: number; maxBytes: number; maxBytesEach: number };
  log: Log;
}

/** Admits, runs and bills calls. */
export class Gate {
  readonly ticker: Ticker;
  readonly lookUps: LookUps;
  private readonly admissions: Admissions;
  readonly verifications: Verifications;
  readonly verifiedHolds: VerifiedHolds;
  readonly self: SelfReader;
  private readonly places: CallPlaces;
  private readonly bytesInFlight: BytesInFlight;
  private readonly refusals = new RefusalMemory();
  private readonly renewals = new Renewals();
  private readonly flushing: NodeJS.Timeout;
  private flushed: Promise<void> = Promise.resolve();

  constructor(private readonly deps: GateDeps) {
    this.places = new CallPlaces(deps.limits);
    this.bytesInFlight = new BytesInFlight(deps.limits);
    const { store, time } = deps;
    const onFailure = (error: unknown, what: string) => deps.log.warn({ err: error }, `gate: ${what} failed`);
    this.ticker = new Ticker({
      store,
      time,
      decide: {
        process: randomBase62(12),
        httpStatusOf: deps.httpStatusOf,
        canRun: (action) => deps.runner.canRun(action),
        logsRefusal: (credentialId, nowMs) => this.refusals.logsRefusal(credentialId, nowMs),
      },
      onFailure,
    });
    this.lookUps = new LookUps({ store, time, onFailure });
    this.admissions = new Admissions({
      lookUps: this.lookUps,
      ticker: this.ticker,
      reserve: (call, project) => this.places.reserve(call, project),
    });
    const { ticker, admissions, places } = this;
    const keptBytes = () => this.keptBytes();
    this.verifications = new Verifications({ ...deps, ticker, admissions, places, keptBytes });
    this.verifiedHolds = new VerifiedHolds({ ...deps, ticker, places });
    this.self = new SelfReader({ ...deps, lookUps: this.lookUps, places, keptBytes, countUnknown: () => this.countUnknown() });
    this.flushing = setInterval(() => void this.flushCounts(), COUNT_FLUSH_MS).unref();
  }

  /** Makes the byte count of a new request, which keeps nothing yet. */
  keptBytes(): KeptBytes {
    return new KeptBytes(this.bytesInFlight);
  }

  /** Returns the finder of the project that a large body counts against. `now` tells the time of the database's clock. */
  bodyOwners(now: () => Promise<Date>): BodyOwners {
    const { lookUps, admissions } = this;
    return new BodyOwners({ known: (ref) => admissions.known(ref), lookUps, digest: (secret) => this.deps.digest(secret), now });
  }

  /** Counts a refusal of an unknown secret in memory, so that a flood of invented secrets costs no transaction for each. */
  countUnknown(): void {
    this.refusals.countUnknown();
  }

  /** Admits a call, runs its action and bills a success. Never rejects. An admitted call runs to its end even if the caller has left. */
  async execute(request: ExecuteRequest): Promise<ExecuteResult> {
    const admittance = await this.admit(request);
    if (admittance.kind === 'admitted') return this.run(request, admittance.open);
    if (admittance.kind === 'rerouted' || admittance.kind === 'passed') throw new Error(`A call of execute was ${admittance.kind}.`);
    return admittance;
  }

  /** Admits a call. An admitted call is in flight until it is settled or cancelled; a passed one is billed or held. Never rejects. */
  async admit(request: CallRequest): Promise<Admittance> {
    if (!this.places.enter()) return { kind: 'error', code: 'SERVICE_UNAVAILABLE', details: {} };
    const call: Call = {
      credentialKind: request.credentialKind,
      digest: this.deps.digest(request.secret),
      namedProjectId: request.namedProjectId,
      statedProjectId: request.statedProjectId,
      service: request.service,
      action: request.action,
      route: request.route,
      verification: request.pass && PASS,
      holdMs: request.holdMs,
      requestId: request.requestId,
      fingerprint: request.fingerprint,
      ip: request.ip,
      userAgent: request.userAgent,
      subject: request.subject,
      arrivedAt: request.arrivedAt,
      waitsSince: this.deps.time.now(),
      kept: request.kept,
      placeInProject: null,
    };
    let open: OpenCall | undefined;
    try {
      const known = this.refusals.recall(call, this.deps.time.now());
      // Reads the credential again, without a transaction, batched with other calls, so that a raised limit applies from the next call
      if (known && this.refusals.confirm(call, known, await this.lookUps.find(call, call.waitsSince))) {
        return { kind: 'error', ...rateRefusal(known.rate), rate: known.rate };
      }
      const verdict = await this.admissions.admit(call, request.pass && { make: request.pass, bytes: PASS_BYTES });
      if (verdict.kind === 'verified') return { kind: 'passed', body: verdict.answer, rate: verdict.rate };
      if (verdict.kind !== 'admitted') return await this.answerWithoutRunning(call, verdict);
      open = this.open(call, verdict);
      if (!open.isLate) return { kind: 'admitted', open };
      open.cancel();
      return { kind: 'error', code: 'SERVICE_UNAVAILABLE', details: {} };
    } catch (error) {
      return error instanceof UnknownCommit ? await this.findOut(error, call) : this.failure(error, call);
    } finally {
      if (!open) this.places.leave(call);
    }
  }

  private async findOut(unknown: UnknownCommit, call: Call): Promise<Passed | Failure> {
    const found = await this.verifications.findOut(unknown, call);
    if (found.kind === 'answered') return { kind: 'passed', body: found.body, rate: unknown.verdict.rate };
    return { kind: 'error', code: 'OUTCOME_UNKNOWN', details: {} };
  }

  private open(call: Call, admitted: Admitted): OpenCall {
    const { ticker, deps, renewals } = this;
    const leave = (ended: OpenCall): void => {
      renewals.delete(ended);
      this.places.leave(call);
    };
    const open = new OpenCall({ ticker, time: deps.time, leave }, call, admitted);
    renewals.add(open);
    return open;
  }

  /** Makes the result of a call that runs no action: a refusal or a replay. */
  private async answerWithoutRunning(call: Call, verdict: Verdict): Promise<Replay | Failure | { kind: 'rerouted' }> {
    switch (verdict.kind) {
      case 'refused': {
        const { refusal, credential, rate } = verdict;
        if (!credential) this.countUnknown();
        if (refusal.code === 'RATE_LIMITED' && credential && rate) this.refusals.remember(call, credential, rate);
        return { kind: 'error', ...refusal, rate };
      }
      case 'replay': {
        const body = await this.deps.keptAnswer(verdict.claim);
        // There is no answer, or the memory for answers is full. The caller can try again.
        if (body === null || !call.kept.keep(body.length)) return { kind: 'error', code: 'SERVICE_UNAVAILABLE', details: {} };
        return { kind: 'replayed', body, rate: verdict.rate };
      }
      case 'rerouted':
        return verdict;
      default:
        throw new Error(`A call was judged ${verdict.kind}.`);
    }
  }

  private failure(error: unknown, call: Call, rate?: RateReport): Failure {
    const code = error instanceof TollgateError ? error.code : 'INTERNAL';
    if (code === 'INTERNAL') this.deps.log.error({ err: error, requestId: call.requestId }, 'gate: a call failed');
    return { kind: 'error', code, details: {}, rate };
  }

  /** Waits for all calls in flight, including calls of callers that have disconnected. Then writes the last counts. */
  async close(): Promise<void> {
    clearInterval(this.flushing);
    await this.places.idle();
    this.renewals.close();
    await this.flushCounts();
  }

  /** Throws SERVICE_UNAVAILABLE if the read fails: the database can become unavailable between the tick and this read. */
  /** Runs the action and settles its hold. Returns the result for the caller. */
  private async run(request: ExecuteRequest, open: OpenCall): Promise<ExecuteResult> {
    const { call, admitted } = open;
    const { hold, action, rate } = admitted;
    const { time, runner } = this.deps;
    const startedAt = time.now();
    const outcome = await runner.run(action, toActionCall(request, admitted));
    try {
      const ending = this.endingOf(outcome, request, call, time.now() - startedAt);
      const keptBytes = hold.claimed && outcome.kind === 'ok' ? outcome.dataJson.length : 0;
      const { billing, answer } = await open.settle(ending, keptBytes);
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
        return {
          kind: 'posted',
          usage: outcome.usage ?? null,
          httpStatus: 200,
          answer: (billing) => request.present(outcome.dataJson, billing),
          actionMs,
          arrivedAt,
        };
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

  /** Reads the answer that an earlier try kept if its COMMIT was not answered: the caller and every repeat must get the same answer. */
  private async earlierAnswer(hold: HoldRow): Promise<string | null> {
    return hold.claimed ? this.deps.keptAnswer(hold) : null;
  }

  /** Runs flushes one after the other, so that awaiting the last one awaits all. */
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

/** The question about a call that a proxy runs: may it go on? */
const PASS: Verification = { mode: 'pass', asker: null, usage: null, permissions: [] };
/** Upper estimate of the text that is kept about such a call. */
const PASS_BYTES = 512;

const httpStatusOfNo = ({ httpStatus = 200 }: Extract<ActionOutcome, { kind: 'no' }>): number => httpStatus;

/** Makes the call as the runner gets it. */
function toActionCall({ paramsJson, debug }: ExecuteRequest, { hold, credential }: Admitted): ActionCall {
  const { projectId, workspaceId, environment, galleryMode } = credential;
  const keyId = credential.credentialKind === 'API_KEY' ? credential.id : null;
  return {
    attempt: hold.attempt,
    action: hold.action,
    requestId: hold.requestId,
    paramsJson,
    debug,
    context: {
      workspaceId,
      projectId,
      credentialId: credential.id,
      keyId,
      environment,
      galleryId: galleryId({ id: projectId, workspaceId, galleryMode }),
    },
  };
}
