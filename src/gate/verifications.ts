import type { CredentialKind } from '../access/secret';
import type { Usage } from '../actions/unit-prices';
import { TollgateError, type ErrorCode } from '../errors';
import type { Log } from '../lib/log';
import { MemoryThrottles } from '../lib/memory-throttles';
import { withTimeout, type Time } from '../lib/time';
import type { Admissions, Answer, Owner } from './admissions';
import type { Asker, Call, Verification } from './call';
import type { Refusal } from './checks';
import type { HoldStore } from './hold-store';
import { UnknownCommit, type Verdict, type Verified } from './items';
import type { CallPlaces } from './load/call-places';
import type { KeptBytes } from './load/kept-bytes';
import type { ClaimName } from './tick/rows';
import type { Ticker } from './tick/ticker';

/** Unknown and foreign secrets that an asker may try each minute. */
const UNKNOWN_PER_MINUTE = 60;
/** Time to find out whether a verification has committed, if the answer of its COMMIT is lost. */
const FIND_OUT_MS = 3_000;
const FIND_OUT_EVERY_MS = 100;
/** Usual size of an answer that is kept. */
const ANSWER_BYTES = 2_048;

/** A question whether a credential may call, as the REST server parsed it. */
export interface VerifyRequest {
  /** Null: the operator. */
  asker: Asker | null;
  /** The secret to verify, and its kind. Undefined if the text does not have the form of a secret. */
  credential: { secret: string; kind: CredentialKind } | undefined;
  namedProjectId: string | null;
  statedProjectId: string | null;
  mode: Verification['mode'];
  /** Empty in the mode `credential`, as `action`. */
  service: string;
  action: string;
  usage: Usage | null;
  permissions: readonly string[];
  holdMs: number;
  /** A UUID in lower case, which the asker cannot have in common with others. */
  requestId: string;
  /** Makes the fingerprint of the question about the credential with this id. Null if the asker chose no requestId. */
  fingerprintOf: ((credentialId: string) => string) | null;
  ip: string | null;
  userAgent: string | null;
  subject: string | undefined;
  metadata: Record<string, string> | undefined;
  arrivedAt: number;
  /** Makes the answer if the credential may call. */
  present(verified: Verified): string;
}

/**
 * `answered`: the credential may call, or could at an earlier request with the same requestId. `invalid`: it may not. `askerRefused`: the
 * asker may not verify, and nothing was judged. `error`: the question was not answered.
 */
export type VerifyResult =
  | { kind: 'answered'; body: string }
  | ({ kind: 'invalid' } & Refusal)
  | ({ kind: 'askerRefused' } & Refusal)
  | { kind: 'error'; code: ErrorCode; details: Record<string, unknown> };

export interface VerificationsDeps {
  admissions: Pick<Admissions, 'ownerOf' | 'submit'>;
  ticker: Pick<Ticker, 'judge' | 'cancel'>;
  places: CallPlaces;
  time: Time;
  digest(text: string): string;
  /** Makes the byte count of a request that keeps nothing. */
  keptBytes(): KeptBytes;
  /** Returns the answer of a call that is billed. Null if it was deleted or cannot be read. Never rejects. */
  keptAnswer(claim: ClaimName): Promise<string | null>;
  holdStore: Pick<HoldStore, 'isCommitted'>;
  log: Log;
}

/** Answers whether credentials may call, and bills or holds credits for their calls. */
export class Verifications {
  private readonly throttles: MemoryThrottles;

  constructor(private readonly deps: VerificationsDeps) {
    const intervalMs = 60_000 / UNKNOWN_PER_MINUTE;
    this.throttles = new MemoryThrottles({ burst: UNKNOWN_PER_MINUTE, intervalMs, now: () => deps.time.now() });
  }

  /** Judges one question. Never rejects. */
  async verify(request: VerifyRequest): Promise<VerifyResult> {
    const { places, admissions } = this.deps;
    if (!places.enter()) return UNAVAILABLE;
    const call = this.callOf(request);
    try {
      // Until the project of the credential is known, and if none is needed, the place counts for the asker
      const { asker } = request;
      if (asker && !places.reserve(call, { id: asker.id, group: asker.workspaceId })) return UNAVAILABLE;
      if (!request.credential) return await this.answerUnknown(call);
      const owner = await admissions.ownerOf(call);
      if (!owner || isForeign(owner, request.asker)) {
        const waitMs = this.throttles.take(request.asker?.id ?? 'operator', 1);
        return waitMs > 0 ? throttled(waitMs) : await this.answerUnknown(call);
      }
      call.fingerprint = request.fingerprintOf?.(owner.id) ?? null;
      // Without an action, no budget is read or locked
      const place = request.mode === 'credential' ? { ...owner, projectId: null } : owner;
      return await this.resultOf(await admissions.submit(call, place, answerOf(request)));
    } catch (error) {
      if (error instanceof UnknownCommit) return await this.findOut(error, call);
      const code = error instanceof TollgateError ? error.code : 'INTERNAL';
      if (code === 'INTERNAL') this.deps.log.error({ err: error, requestId: call.requestId }, 'gate: a verification failed');
      return { kind: 'error', code, details: {} };
    } finally {
      places.leave(call);
    }
  }

  private callOf(request: VerifyRequest): Call {
    const { credential, mode, asker, usage, permissions } = request;
    return {
      credentialKind: credential?.kind ?? 'API_KEY',
      digest: credential ? this.deps.digest(credential.secret) : '',
      namedProjectId: request.namedProjectId,
      statedProjectId: request.statedProjectId,
      service: request.service,
      action: request.action,
      verification: { mode, asker, usage, permissions },
      holdMs: request.holdMs,
      requestId: request.requestId,
      fingerprint: null,
      ip: request.ip,
      userAgent: request.userAgent,
      subject: request.subject,
      metadata: request.metadata,
      arrivedAt: request.arrivedAt,
      waitsSince: this.deps.time.now(),
      kept: this.deps.keptBytes(),
      placeInProject: null,
    };
  }

  /**
   * Refuses a secret that the asker may not know, with the same answer for an unknown, a foreign and a malformed one. A tick checks the
   * asker only: nothing of another tenant is read.
   */
  private async answerUnknown(call: Call): Promise<VerifyResult> {
    const { verification } = call;
    if (!verification?.asker) return UNKNOWN;
    const nothing: Call = { ...call, digest: '', namedProjectId: null, verification: { ...verification, mode: 'credential' } };
    const verdict = await this.deps.ticker.judge({ kind: 'admission', call: nothing, credentialId: '', projectId: null });
    return verdict.kind === 'askerRefused' ? { ...verdict.refusal, kind: 'askerRefused' } : UNKNOWN;
  }

  private async resultOf(verdict: Verdict): Promise<VerifyResult> {
    switch (verdict.kind) {
      case 'verified':
        return { kind: 'answered', body: verdict.answer };
      case 'askerRefused':
        return { ...verdict.refusal, kind: 'askerRefused' };
      case 'refused':
        // A reused requestId is the asker's fault, and says nothing about the credential
        return { ...verdict.refusal, kind: verdict.refusal.code === 'REQUEST_ID_REUSED' ? 'error' : 'invalid' };
      case 'replay': {
        const body = await this.deps.keptAnswer(verdict.claim);
        return body === null ? UNAVAILABLE : { kind: 'answered', body }; // null: deleted just now, because its 24 hours are over
      }
      default:
        throw new Error(`A verification was judged ${verdict.kind}.`);
    }
  }

  /**
   * Finds out whether a verification has committed. Never rejects. A hold without a requestId is voided, because nobody can find it
   * again. A hold with a requestId stays until it expires, so that a repeat gets it.
   */
  async findOut({ verdict, attempt }: UnknownCommit, call: Call): Promise<VerifyResult> {
    const { time, ticker } = this.deps;
    const until = time.now() + FIND_OUT_MS;
    while (time.now() < until) {
      const isCommitted = await withTimeout(this.deps.holdStore.isCommitted(attempt), until - time.now()).catch(() => false);
      if (isCommitted) return { kind: 'answered', body: verdict.answer };
      await time.wait(FIND_OUT_EVERY_MS);
    }
    if (verdict.hold && call.fingerprint === null) ticker.cancel(verdict.hold, call.arrivedAt, true);
    return { kind: 'error', code: 'OUTCOME_UNKNOWN', details: {} };
  }
}

const UNAVAILABLE: VerifyResult = { kind: 'error', code: 'SERVICE_UNAVAILABLE', details: {} };
const UNKNOWN: VerifyResult = { kind: 'invalid', code: 'INVALID_API_KEY', details: {} };

const throttled = (waitMs: number): VerifyResult => ({
  kind: 'error',
  code: 'RATE_LIMITED',
  details: { retry_after_ms: waitMs, violated_policies: ['unknown_keys'] },
});

const isForeign = ({ workspaceId }: Owner, asker: Asker | null): boolean => asker !== null && asker.workspaceId !== workspaceId;

function answerOf({ present, metadata, fingerprintOf }: VerifyRequest): Answer {
  const keptBytes = fingerprintOf ? ANSWER_BYTES : 0;
  return { make: present, bytes: keptBytes + (metadata ? JSON.stringify(metadata).length : 0) };
}
