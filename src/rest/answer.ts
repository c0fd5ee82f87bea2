import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import { ERRORS, type ErrorCode } from '../errors';
import type { RateReport } from '../gate/items';
import type { RateLimit } from '../gate/rate-limit';
import { httpStatusOf } from './status';

/** Value of Retry-After if the exact wait is unknown, and its lowest value. */
const RETRY_AFTER_SECONDS = 1;

export interface ErrorAnswer {
  code: ErrorCode;
  message?: string;
  details: Record<string, unknown>;
  rate?: RateReport | undefined;
}

/** Answers with an error in the form that all REST routes share. */
export function sendError(reply: FastifyReply, requestId: string, error: ErrorAnswer): FastifyReply {
  setErrorHead((name, value) => void reply.header(name, value), requestId, error);
  return reply.code(httpStatusOf(error.code)).send(errorBody(requestId, error.code, error.message, error.details));
}

/** Does the same on an answer that Fastify does not know. */
export function writeError(answer: ServerResponse, requestId: string, error: ErrorAnswer, status = httpStatusOf(error.code)): void {
  answer.statusCode = status;
  for (const [name, value] of Object.entries(COMMON_HEADERS)) answer.setHeader(name, value);
  setErrorHead((name, value) => void answer.setHeader(name, value), requestId, error);
  const body = errorBody(requestId, error.code, error.message, error.details);
  answer.setHeader('content-length', Buffer.byteLength(body));
  answer.end(body);
}

type SetHeader = (name: string, value: string | number) => void;

function setErrorHead(set: SetHeader, requestId: string, { code, details, rate }: ErrorAnswer): void {
  set('content-type', 'application/json; charset=utf-8');
  set('x-request-id', requestId);
  if (isChallenged(code)) set('www-authenticate', challenge(code, details));
  if (rate) for (const [name, value] of rateHeaders(rate)) set(name, value);
  if (saysWhenToRetry(code)) {
    set('retry-after', Math.max(RETRY_AFTER_SECONDS, rate ? secondsUntilNext(rate) : 0));
  }
}

/** Whether the answer has `WWW-Authenticate`. */
export const isChallenged = (code: ErrorCode): boolean => ERRORS[code].kind === 'UNAUTHORIZED' || code === 'FORBIDDEN';

/** Whether the answer has `Retry-After`. */
export function saysWhenToRetry(code: ErrorCode): boolean {
  const { kind } = ERRORS[code];
  return kind === 'RATE_LIMITED' || kind === 'SERVICE_UNAVAILABLE' || code === 'REQUEST_IN_PROGRESS';
}

/** Headers of every answer of this process: forbid caching, and forbid browsers to guess the content type. */
export const COMMON_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

/** Returns the body of a REST error as JSON. Without a message, uses the default message of the code. */
export function errorBody(requestId: string, code: ErrorCode, message: string | undefined, details: Record<string, unknown>): string {
  const members = message === undefined ? USUAL_MEMBERS[code] : membersOf(code, message);
  return `{"ok":false,"success":false,"requestId":"${requestId}","error":{${members},"details":${JSON.stringify(details)}}}`;
}

/** The members of `error` except `details`, as JSON. */
function membersOf(code: ErrorCode, message: string): string {
  return `"status":"${ERRORS[code].kind}","code":"${code}","message":${JSON.stringify(message)}`;
}

/** Written once, because most errors have the usual message of their code. */
const USUAL_MEMBERS = Object.fromEntries(
  Object.entries(ERRORS).map(([code, { message }]) => [code, membersOf(code as ErrorCode, message)]),
) as Record<ErrorCode, string>;

/** The challenge of RFC 6750: names the scheme to authenticate with, and the fault of the credential that was sent. */
function challenge(code: ErrorCode, details: Record<string, unknown>): string {
  const realm = 'Bearer realm="tollgate"';
  if (code === 'MISSING_API_KEY') return realm;
  if (code !== 'FORBIDDEN') return `${realm}, error="invalid_token"`;
  const scope = typeof details.required_permission === 'string' ? `, scope="${details.required_permission}"` : '';
  return `${realm}, error="insufficient_scope"${scope}`;
}

/** `RateLimit-Policy` and `RateLimit` in the syntax of draft-ietf-httpapi-ratelimit-headers-10. */
export function rateHeaders(rate: RateReport): [name: string, value: string][] {
  return [
    ['RateLimit-Policy', policyOf(rate.limit)],
    ['RateLimit', `"project";r=${rate.remaining};t=${secondsUntilNext(rate)}`],
  ];
}

export function setRateHeaders(reply: FastifyReply, rate: RateReport): void {
  for (const [name, value] of rateHeaders(rate)) void reply.header(name, value);
}

/** Cache of the last policy: consecutive calls mostly have the same one, and formatting decimals is slow. */
let lastPolicy = { sustainedRps: 0, burst: 0, text: '' };

function policyOf({ sustainedRps, burst }: RateLimit): string {
  if (sustainedRps !== lastPolicy.sustainedRps || burst !== lastPolicy.burst) {
    const windowSeconds = Math.max(1, Math.ceil(decimal(burst / sustainedRps)));
    const quota = Math.floor(decimal(sustainedRps * windowSeconds));
    lastPolicy = { sustainedRps, burst, text: `"project";q=${quota};w=${windowSeconds}` };
  }
  return lastPolicy.text;
}

/** Removes the rounding error of binary fractions: 0.29 x 100 becomes 29 instead of 28.999999999999996. */
const decimal = (value: number): number => Number(value.toPrecision(12));

function secondsUntilNext(rate: RateReport): number {
  return Math.ceil(rate.untilNextUs / 1e6);
}
