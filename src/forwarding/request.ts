import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TollgateError } from '../errors';
import type { Holder } from '../lib/lanes';
import type { CopyBudget } from './copies';
import type { Header } from './headers';
import type { Usage } from './usage/quantities';
import type { UsageSource } from './usage/readers';

/** One request to forward. */
export interface ForwardRequest {
  incoming: IncomingMessage;
  /** Has no headers yet. */
  outgoing: ServerResponse;
  /** Scheme, host and port of the upstream. */
  origin: string;
  /** Path and query, exactly as the upstream gets them. */
  path: string;
  /** The body, if it has been read already. Otherwise it is passed on as it arrives. */
  body?: Buffer | undefined;
  /** The project and workspace that take a place at the upstream. */
  holder: Holder;
  /** Headers for the upstream. The caller's headers with these names are removed. */
  headersToAdd: readonly Header[];
  /** Names, in lower case, of headers that the upstream must not get, for example the credential. */
  headersToDrop: readonly string[];
  /** Headers for the caller. The upstream's headers with these names are removed. */
  headersToAnswer: readonly Header[];
  maxBodyBytes: number;
  /** Time until the answer begins. Begins anew with each part of the request's body. */
  timeoutMs: number;
  /** Time for which the caller or the upstream may do nothing. */
  idleTimeoutMs: number;
  /** Time for all of it. */
  maxDurationMs: number;
  /** Whether an answer with this status is billed. Usage is read, and the answer is kept, only if it is. */
  isBilled(status: number): boolean;
  usage: readonly UsageSource[];
  copyBudget: CopyBudget;
  /** If given, a billed answer is kept for repeats, if its body has at most this many bytes. */
  keepAnswerUpToBytes?: number | undefined;
  /** Called when the call begins, with a function that ends it as a stop of the process does. */
  onBegin?(stop: (cause: string) => void): void;
  settle: Settle;
}

/** Called once, with the end of the call, before the caller sees it. */
export interface Settle {
  /** Resolves with null to pass on the end of the answer. With an error, the caller does not get the answer as complete. */
  complete(answer: CompleteAnswer): Promise<TollgateError | null>;
  /** Resolves with the error for the caller. It is only used if no answer has begun. */
  failed(failure: Failure): Promise<TollgateError>;
}

/** An answer that came to its end. */
export interface CompleteAnswer {
  status: number;
  isBilled: boolean;
  /** Null if nothing was billed, or if the answer has no quantity. */
  usage: Usage | null;
  /** The answer for repeats. Undefined if it was not wanted, or too large. */
  kept: KeptAnswer | undefined;
}

/** An answer as the caller got it, without `Set-Cookie`. */
export interface KeptAnswer {
  status: number;
  /** Name, value, name, value. */
  headers: string[];
  body: Buffer;
}

export type FailureCode =
  | 'UPSTREAM_FAILED'
  | 'UPSTREAM_TIMEOUT'
  | 'CALLER_GONE'
  | 'LOOP_DETECTED'
  | 'PAYLOAD_TOO_LARGE'
  | 'SERVICE_UNAVAILABLE';

/** A call that did not come to its end. `cause` is for the log and never for the caller. */
export interface Failure {
  code: FailureCode;
  cause: string;
}
