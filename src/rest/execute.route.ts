import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { secretFrom } from '../access/credential';
import { userAgentOf } from '../access/people/person.events';
import { kindOfSecret } from '../access/secret';
import { RESERVED_SERVICES, SERVICE_PATTERN } from '../actions/action.service';
import { validate } from '../errors';
import type { BodyOwners } from '../gate/load/body-owners';
import type { ExecuteRequest, ExecuteResult, Gate } from '../gate/gate';
import type { KeptBytes } from '../gate/load/kept-bytes';
import { whenAnswered } from '../lib/answered';
import { sendError, setRateHeaders, type ErrorAnswer } from './answer';
import { isLarge } from './arriving-bodies';
import { executeBody, type ExecuteBody } from './execute.schema';
import { NO_BODY, headerOf, mediaRefusal, namedProjectOf, parseJson, statedProjectOf, versionRefusal } from './json-request';
import { chosenRequestId } from './request-id';

interface ExecuteRoute {
  Params: { service: string };
  /** Undefined if the request has no body. */
  Body: Buffer | undefined;
}

/**
 * Registers `POST /v1/{service}/execute`. The checks that need no database are here, in the order of the error table. The gate does the
 * others.
 */
export function registerExecute(rest: FastifyInstance, gate: Gate, owners: BodyOwners): void {
  rest.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));

  const refuse = (request: FastifyRequest, reply: FastifyReply, refusal: ErrorAnswer) => {
    if (refusal.code === 'INVALID_API_KEY') gate.countUnknown();
    void sendError(reply, request.requestId, refusal);
  };
  const onRequest = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
    const refusal = headersRefusal(request);
    if (refusal) return refuse(request, reply, refusal);
    if (!isLarge(request)) return done();
    bodyRefusal(request, reply, gate, owners).then((refused) => (refused ? refuse(request, reply, refused) : done()), done);
  };

  rest.post<ExecuteRoute>('/v1/:service/execute', { onRequest }, async (request, reply) => {
    const kept = request.kept ?? gate.keptBytes();
    kept.use(); // until the call ends, even if its caller disconnects before
    let body: ReadBody;
    let result: ExecuteResult;
    try {
      const raw = request.body ?? NO_BODY;
      kept.keepAnyway(raw.length); // not more than was reserved before the body was read
      body = parseBody(raw);
      result = await gate.execute(toExecuteRequest(request, raw, body, kept));
      request.body = NO_BODY; // frees the body: from here on the reserved memory counts the answer
      if (!request.kept && kept.any) keepUntilAnswered(request, reply, kept);
    } finally {
      kept.release();
    }
    return send(reply, request, body.action, result);
  });
}

function toExecuteRequest(request: FastifyRequest<ExecuteRoute>, raw: Buffer, body: ReadBody, kept: KeptBytes): ExecuteRequest {
  const { service } = request.params;
  const requestId = chosenRequestId(body.requestId, headerOf(request, 'idempotency-key'));
  request.requestId = requestId ?? request.requestId;
  const statedProjectId = statedProjectOf(request);
  const namedProjectId = namedProjectOf(request, statedProjectId);
  return {
    secret: request.secret,
    credentialKind: request.credentialKind,
    namedProjectId,
    statedProjectId,
    service,
    action: body.action,
    requestId: request.requestId,
    fingerprint: requestId === undefined ? null : fingerprintOf(service, namedProjectId, raw),
    paramsJson: body.paramsJson,
    debug: body.debug ?? false,
    ip: request.address,
    userAgent: userAgentOf(request.headers),
    arrivedAt: request.arrivedAt,
    kept,
    present: (dataJson, billing) =>
      `{"ok":true,"success":true,"requestId":"${request.requestId}","action":${JSON.stringify(body.action)},` +
      `"data":${dataJson},"errors":[],"billing":${JSON.stringify(billing)}}`,
  };
}

/** Whether a path segment is a valid name of a service. The service need not exist. */
export function isService(segment: string): boolean {
  return SERVICE_PATTERN.test(segment) && !RESERVED_SERVICES.includes(segment);
}

/** Checks that come before reading the body: service, credential header, its format, version, media type, encoding. */
function headersRefusal(request: FastifyRequest): ErrorAnswer | undefined {
  const { service } = request.params as { service: string };
  if (!isService(service)) return { code: 'NOT_FOUND', details: {} };
  const secret = secretFrom(request.raw.rawHeaders);
  if (secret === undefined) return { code: 'MISSING_API_KEY', details: { header: 'Authorization' } };
  const kind = kindOfSecret(secret);
  if (kind === undefined) return { code: 'INVALID_API_KEY', details: {} };
  request.secret = secret;
  request.credentialKind = kind;
  return versionRefusal(request) ?? mediaRefusal(request);
}

/**
 * Reserves memory for a large body before it is read. The memory counts for the project of the secret. Returns the refusal of a secret that
 * is unknown or does not work. A body without Content-Length counts as the largest until it has arrived.
 */
async function bodyRefusal(request: FastifyRequest, reply: FastifyReply, gate: Gate, owners: BodyOwners): Promise<ErrorAnswer | undefined> {
  const { bodyLimit } = request.routeOptions;
  const declared = Number(headerOf(request, 'content-length') ?? bodyLimit);
  if (declared > bodyLimit) return { code: 'PAYLOAD_TOO_LARGE', details: { limit_bytes: bodyLimit } };
  const { secret, credentialKind, address: ip } = request;
  const owner = await owners.of({ secret, credentialKind, namedProjectId: namedProjectOf(request, statedProjectOf(request)), ip });
  if ('code' in owner) return owner;
  const kept = gate.keptBytes();
  if (!kept.keep(declared, owner)) return { code: 'SERVICE_UNAVAILABLE', details: {} };
  request.kept = kept;
  keepUntilAnswered(request, reply, kept);
  return undefined;
}

function keepUntilAnswered(request: FastifyRequest, reply: FastifyReply, kept: KeptBytes): void {
  kept.use();
  whenAnswered(request.raw, reply.raw, () => kept.release());
}

/** A body, and its params in the text that the caller sent. */
type ReadBody = ExecuteBody & { paramsJson: string };

function parseBody(raw: Buffer): ReadBody {
  const { value, memberJson } = parseJson(raw, 'params');
  return Object.assign(validate(executeBody, value), { paramsJson: memberJson as string }); // a valid body has params, so it has their text
}

/** Includes the chosen project: the same body in another project is another call. */
function fingerprintOf(service: string, namedProjectId: string | null, body: Buffer): string {
  const target = namedProjectId === null ? service : `${service} ${namedProjectId}`;
  return createHash('sha256').update(`${target}\n`).update(body).digest('base64url');
}

function send(reply: FastifyReply, request: FastifyRequest, action: string, result: ExecuteResult): FastifyReply {
  if (result.kind === 'error') return sendError(reply, request.requestId, result);
  setRateHeaders(reply, result.rate);
  void reply.header('content-type', 'application/json; charset=utf-8');
  switch (result.kind) {
    case 'succeeded':
      return reply.send(result.body);
    case 'replayed':
      return reply.send(`${result.body.slice(0, -1)},"meta":{"idempotencyReplay":true}}`);
    case 'saidNo': {
      const { httpStatus, errors, billing } = result;
      const { requestId } = request;
      return reply.code(httpStatus).send(JSON.stringify({ ok: false, success: false, requestId, action, data: null, errors, billing }));
    }
  }
}
