import type { FastifyInstance, FastifyReply } from 'fastify';
import { kindOfSecret } from '../access/secret';
import { ERRORS, TollgateError, validate } from '../errors';
import type { Asker } from '../gate/call';
import type { Askers } from '../gate/askers';
import type { Gate } from '../gate/gate';
import type { Verified } from '../gate/items';
import type { HoldRow } from '../gate/tick/rows';
import type { VerifyRequest, VerifyResult } from '../gate/verifications';
import { plainAddress } from '../lib/cidr';
import { sendError, type ErrorAnswer } from './answer';
import { fingerprintOf, prepareAsking, type AskingDeps } from './asking';
import { NO_BODY, namedProjectOf, parseJson } from './json-request';
import { newRequestId, requestIdOfAsker } from './request-id';
import { httpStatusOf } from './status';
import { verification, verificationBatch, type VerificationBody } from './verify.schema';

export interface VerifyDeps extends AskingDeps {
  gate: Gate;
  askers: Askers;
}

interface VerifyRoute {
  Body: Buffer | undefined;
}

/** One question with its requestId: the caller's, or one of this server. */
interface Question {
  requestId: string;
  result: VerifyResult;
}

interface Asking {
  gate: Gate;
  asker: Asker | null;
  arrivedAt: number;
}

type Asked = Omit<Asking, 'gate'> & { requestId: string };

const MAX_USER_AGENT_LENGTH = 255;

/** Registers `POST /v1/keys/verify`: another server asks whether a credential may call. */
export function registerVerify(rest: FastifyInstance, { gate, askers, ...asking }: VerifyDeps): void {
  prepareAsking(rest, asking);

  rest.post<VerifyRoute>('/v1/keys/verify', async (request, reply) => {
    const { arrivedAt } = request;
    const { value } = parseJson(request.body ?? NO_BODY);
    request.body = NO_BODY;
    const isBatch = typeof value === 'object' && value !== null && 'verifications' in value;
    const items = isBatch ? validate(verificationBatch, value).verifications.map(parsed) : [validate(verification, value)];
    const asker = await askers.of(request.secret, request.address);
    const questions = await Promise.all(items.map((item) => ask(item, { gate, asker, arrivedAt })));
    const [only] = questions;
    if (!isBatch && only) return sendOne(reply, only);
    return sendAll(reply, request.requestId, questions);
  });
}

/** An item of a batch. An item that is not valid becomes its error, because it must not refuse the others. */
function parsed(item: unknown): VerificationBody | TollgateError {
  try {
    return validate(verification, item);
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
}

/** Asks the gate one question. Never rejects. */
async function ask(item: VerificationBody | TollgateError, { gate, asker, arrivedAt }: Asking): Promise<Question> {
  if (item instanceof TollgateError) {
    return { requestId: newRequestId(), result: { kind: 'error', code: item.code, details: item.details } };
  }
  const requestId = item.requestId?.toLowerCase() ?? newRequestId();
  return { requestId, result: await gate.verifications.verify(toVerifyRequest(item, { asker, arrivedAt, requestId })) };
}

function toVerifyRequest(body: VerificationBody, { asker, arrivedAt, requestId }: Asked): VerifyRequest {
  const { key, service = '', action = '', ...rest } = body;
  const kind = kindOfSecret(key);
  const statedProjectId = rest.projectId ?? null;
  const askerId = asker?.id ?? 'operator';
  const mode = action === '' ? 'credential' : (rest.mode ?? 'charge');
  const ip = rest.ip === undefined ? null : plainAddress(rest.ip);
  return {
    asker,
    credential: kind === undefined ? undefined : { secret: key, kind },
    namedProjectId: kind === undefined ? null : namedProjectOf({ credentialKind: kind }, statedProjectId),
    statedProjectId,
    mode,
    service,
    action,
    usage: rest.usage ?? null,
    permissions: rest.permissions,
    holdMs: rest.holdSeconds * 1_000,
    requestId: rest.requestId === undefined ? requestId : requestIdOfAsker(askerId, requestId),
    fingerprintOf:
      rest.requestId === undefined
        ? null
        : (credentialId) => fingerprintOf({ ...rest, service, action, mode, ip, requestId, credentialId, askerId }),
    ip,
    userAgent: rest.userAgent === undefined ? null : [...rest.userAgent].slice(0, MAX_USER_AGENT_LENGTH).join(''),
    subject: rest.subject,
    metadata: rest.metadata,
    arrivedAt,
    present: (verified) => answerOf(requestId, verified),
  };
}

/** The answer about a credential that may call. */
function answerOf(requestId: string, { credential, rate, billing, hold }: Verified): string {
  const { id, name, credentialKind: kind, environment, permissions, projectId, workspaceId } = credential;
  const expiresAt = credential.expiresAt === null ? null : timestamp(credential.expiresAt);
  return JSON.stringify({
    valid: true,
    code: 'VALID',
    requestId,
    key: { id, name, kind, environment, permissions, expiresAt, projectId, workspaceId },
    rateLimit: rate ? { remaining: rate.remaining, resetMs: Math.ceil(rate.untilNextUs / 1_000) } : null,
    billing: billing ?? null,
    hold: hold ? holdBody(hold) : null,
  });
}

const timestamp = (ms: number): string => new Date(ms).toISOString();

/** A hold as answers show it. */
export const holdBody = ({ attempt, expiresAt, amount }: HoldRow) => ({
  id: attempt,
  expiresAt: timestamp(expiresAt),
  amountMicroCredits: amount,
});

/** The answer about a credential that may not call, or to a question that was not answered. */
function refusalOf(requestId: string, { code, details }: ErrorAnswer): string {
  const { kind: status, message } = ERRORS[code];
  return JSON.stringify({ valid: false, code, requestId, error: { status, code, message, details, http: httpStatusOf(code) } });
}

function sendOne(reply: FastifyReply, { requestId, result }: Question): FastifyReply {
  reply.request.requestId = requestId;
  if (result.kind === 'error' || result.kind === 'askerRefused') return sendError(reply, requestId, result);
  return sendJson(reply, result.kind === 'answered' ? result.body : refusalOf(requestId, result));
}

/** Answers in the order of the questions. A refusal of the asker is the whole answer, unless another item was judged before it. */
function sendAll(reply: FastifyReply, requestId: string, questions: Question[]): FastifyReply {
  const refused = questions.find(({ result }) => result.kind === 'askerRefused')?.result;
  const isJudged = questions.some(({ result }) => result.kind === 'answered' || result.kind === 'invalid');
  if (refused?.kind === 'askerRefused' && !isJudged) return sendError(reply, requestId, refused);
  return sendJson(reply, `{"verifications":[${questions.map(textOf).join(',')}]}`);
}

function textOf({ requestId, result }: Question): string {
  if (result.kind === 'answered') return result.body;
  // The codes of an asker would look like codes of the credential. A repeat tells why the asker is refused
  return refusalOf(requestId, result.kind === 'askerRefused' ? { code: 'SERVICE_UNAVAILABLE', details: {} } : result);
}

export function sendJson(reply: FastifyReply, body: string): FastifyReply {
  return reply.header('content-type', 'application/json; charset=utf-8').send(body);
}
