import type { FastifyReply } from 'fastify';
import { ERRORS, type ErrorCode } from '../errors';
import type { RateReport } from '../gate/decide';
import type { RateLimit } from '../gate/rate-limit';
import { httpStatusOf } from './status';

/** How long to wait where nothing more exact is known, and the least that is ever asked for. */
const RETRY_AFTER_SECONDS = 1;

export interface ErrorAnswer {
  code: ErrorCode;
  message?: string;
  details: Record<string, unknown>;
  rate?: RateReport | undefined;
}

/** Answers with an error in the form that every REST route has. */
export function sendError(reply: FastifyReply, requestId: string, { code, message, details, rate }: ErrorAnswer): FastifyReply {
  const { kind } = ERRORS[code];
  void reply.code(httpStatusOf(code)).header('content-type', 'application/json; charset=utf-8').header('x-request-id', requestId);
  if (kind === 'UNAUTHORIZED' || code === 'FORBIDDEN') void reply.header('www-authenticate', challenge(code, details));
  if (rate) setRateHeaders(reply, rate);
  if (kind === 'RATE_LIMITED' || kind === 'SERVICE_UNAVAILABLE' || code === 'REQUEST_IN_PROGRESS') {
    void reply.header('retry-after', Math.max(RETRY_AFTER_SECONDS, rate ? secondsUntilNext(rate) : 0));
  }
  return reply.send(errorBody(requestId, code, message, details));
}

/** The headers of every answer of this process: no cache keeps it, and no browser takes it for another type. */
export const COMMON_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

/** The body that every error of REST has. */
export function errorBody(requestId: string, code: ErrorCode, message: string | undefined, details: Record<string, unknown>): string {
  const what = message === undefined ? USUAL[code] : told(code, message);
  return `{"ok":false,"success":false,"requestId":"${requestId}","error":{${what},"details":${JSON.stringify(details)}}}`;
}

/** What an answer tells of an error, but for its details, as JSON. */
function told(code: ErrorCode, message: string): string {
  return `"status":"${ERRORS[code].kind}","code":"${code}","message":${JSON.stringify(message)}`;
}

const USUAL = Object.fromEntries(Object.entries(ERRORS).map(([code, { message }]) => [code, told(code as ErrorCode, message)])) as Record<ErrorCode, string>;

/** RFC 6750's challenge: what kind of credential is wanted, and what was wrong with the one that came. */
function challenge(code: ErrorCode, details: Record<string, unknown>): string {
  const realm = 'Bearer realm="tollgate"';
  if (code === 'MISSING_API_KEY') return realm;
  if (code !== 'FORBIDDEN') return `${realm}, error="invalid_token"`;
  const scope = typeof details.required_permission === 'string' ? `, scope="${details.required_permission}"` : '';
  return `${realm}, error="insufficient_scope"${scope}`;
}

/** `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-10 writes them. */
export function setRateHeaders(reply: FastifyReply, rate: RateReport): void {
  void reply.header('ratelimit-policy', policyOf(rate.limit));
  void reply.header('ratelimit', `"project";r=${rate.remaining};t=${secondsUntilNext(rate)}`);
}

/** The last policy that was written: most calls in a row have the same one, and decimals are slow to make. */
let lastPolicy = { sustainedRps: 0, burst: 0, text: '' };

function policyOf({ sustainedRps, burst }: RateLimit): string {
  if (sustainedRps !== lastPolicy.sustainedRps || burst !== lastPolicy.burst) {
    const windowSeconds = Math.max(1, Math.ceil(decimal(burst / sustainedRps)));
    const quota = Math.floor(decimal(sustainedRps * windowSeconds));
    lastPolicy = { sustainedRps, burst, text: `"project";q=${quota};w=${windowSeconds}` };
  }
  return lastPolicy.text;
}

/** What people would reckon: 0.29 x 100 is 29, and not the 28.999999999999996 that binary fractions make of it. */
const decimal = (value: number): number => Number(value.toPrecision(12));

function secondsUntilNext(rate: RateReport): number {
  return Math.ceil(rate.untilNextUs / 1e6);
}
