import type { Socket } from 'node:net';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { CredentialKind } from '../access/secret';
import type { Config } from '../config';
import { TollgateError, invalid, type ErrorCode } from '../errors';
import type { KeptBytes } from '../gate/load/kept-bytes';
import { isBehindAnother, waitingOn, whenAnswered } from '../lib/answered';
import type { Log } from '../lib/log';
import { COMMON_HEADERS, sendError } from './answer';
import { ClientAddresses } from './client-address';
import { EndOfTurn } from './end-of-turn';
import { isService } from './execute.route';
import { newRequestId } from './request-id';
import { refuseTunnels, refuseUnparsed, type FormOf } from './unparsed';

// The HTTP server, and the parts of its answers that do not depend on the route.

declare module 'fastify' {
  interface FastifyRequest {
    /** Address of the client behind trusted proxies, or null if its connection has closed. Fastify's `ip` ignores proxies. */
    readonly address: string | null;
    /** Sent with every REST answer, in the body and as `X-Request-Id`. */
    requestId: string;
    /** The caller's secret. Its format is valid. */
    secret: string;
    credentialKind: CredentialKind;
    /** Memory reserved for the body, or undefined if the body is too small to be counted. */
    kept: KeptBytes | undefined;
    /** Time of arrival by `performance.now()`. */
    arrivedAt: number;
  }
}

/**
 * Closes connections that have sent nothing, when the process stops. Browsers open such connections in advance. Node regards each as a
 * request that is still arriving, and the stop would wait for it.
 */
function closeSilentOnStop(server: FastifyInstance): void {
  const open = new Set<Socket>();
  server.server.on('connection', (socket) => {
    if (open.has(socket)) return; // graphql-server/streams/upgrades emits 'connection' again for the same socket
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.addHook('preClose', async () => {
    for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
  });
}

/** Time for a request to arrive, including its body. */
const REQUEST_TIMEOUT_MS = 120_000;

/**
 * Most requests that wait behind others on one connection (HTTP pipelining). Node reads about as many requests at once, and reads no more
 * while refusals wait to be sent.
 */
export const MAX_WAITING = 2_048;

/** Creates the server, without Fastify's logger, because Fastify would create a child logger for each request. Handlers log themselves. */
export function createServer(config: Config, formOf: FormOf): FastifyInstance {
  const server = Fastify({
    bodyLimit: config.bodyLimitBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { requireHostHeader: false }, // Node would refuse a missing Host with an empty body, so prepareAnswers refuses it
    clientErrorHandler: refuseUnparsed(formOf),
    return503OnClosing: false, // prepareAnswers answers 503 in the form of all errors
    forceCloseConnections: 'idle',
    frameworkErrors: ({ code }, _request, reply) => {
      void reply.headers(COMMON_HEADERS); // such a request skips all hooks
      const invalidUrl = { issues: [{ path: [], message: 'has an address that is not a valid URL' }] };
      // Names of services are shorter than the router's limit for parameters, so such a service does not exist
      if (code === 'FST_ERR_MAX_PARAM_LENGTH') void sendError(reply, newRequestId(), { code: 'NOT_FOUND', details: {} });
      else void sendError(reply, newRequestId(), { code: 'INVALID_REQUEST', details: invalidUrl });
    },
  }) as unknown as FastifyInstance;
  closeSilentOnStop(server);
  refuseTunnels(server.server, formOf);
  // Reads `remoteAddress` once so that the socket caches it: after a disconnect it would be unknown
  server.server.on('connection', (socket: Socket) => socket.remoteAddress ?? socket.destroy());
  const addresses = new ClientAddresses(config.trustedProxies);
  server.decorateRequest('address', {
    getter() {
      return addresses.of(this.raw);
    },
  });
  return server;
}

export interface AnswerDeps {
  bodyLimitBytes: number;
  log: Log;
}

/** Adds the headers of every answer, and the error form of all routes except GraphQL. Call it on the root instance. */
export function prepareAnswers(app: FastifyInstance, deps: AnswerDeps): void {
  app.decorateRequest('requestId', '');
  app.decorateRequest('secret', '');
  app.decorateRequest('credentialKind', 'API_KEY');
  app.decorateRequest('kept', undefined);
  app.decorateRequest('arrivedAt', 0);
  const endOfTurn = new EndOfTurn();
  let closing = false;
  app.addHook('preClose', async () => {
    closing = true;
  });
  // Uses callbacks, because a promise for each hook of each call would cost more than the hooks do
  app.addHook('onRequest', (request, reply, done) => {
    request.arrivedAt = performance.now();
    request.requestId = newRequestId();
    void reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff'); // COMMON_HEADERS, without a loop
    const isHostMissing = request.headers.host === undefined && request.raw.httpVersion === '1.1';
    if (closing) done(new TollgateError('SERVICE_UNAVAILABLE', STOPPING)); // an error, because GraphQL's handler writes it in another form
    else if (isHostMissing) done(invalid({ path: ['Host'], message: 'is required' }));
    else if (isBehindAnother(reply.raw) && isOneTooMany(request, reply)) done(new TollgateError('SERVICE_UNAVAILABLE', TOO_MANY_WAIT));
    // Otherwise the CORS plugin would refuse it in another form
    else if (request.method === 'OPTIONS' && !isPreflight(request)) void answerNoRoute(app, request, reply);
    else endOfTurn.run(done);
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    if (!request.url.startsWith('/graphql')) void reply.header('x-request-id', request.requestId);
    if (closing) void reply.header('connection', 'close'); // otherwise the connection stays open, and the stop waits for it
    done(null, payload);
  });
  app.removeAllContentTypeParsers(); // a path without a route reads no body; routes that read one add a parser
  app.setErrorHandler((error, request, reply) => answerError(error as FastifyError, request, reply, deps));
  app.setNotFoundHandler((request, reply) => answerNoRoute(app, request, reply));
  // Ignores an unknown `Expect` header. Node would answer 417 without a body
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
}

export const STOPPING = 'This process is stopping. Send the request again.';
export const TOO_MANY_WAIT = 'Too many requests wait on this connection. Send more after some are answered.';

/** Whether too many requests wait on the connection. If not, counts this one as waiting until it is answered. */
function isOneTooMany({ raw }: FastifyRequest, reply: FastifyReply): boolean {
  const isFull = waitingOn(raw.socket) >= MAX_WAITING;
  if (!isFull) whenAnswered(raw, reply.raw, () => undefined);
  return isFull;
}

/** Maps error codes of Fastify to ours. */
const FRAMEWORK_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_BODY_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  FST_ERR_NOT_FOUND: 'NOT_FOUND',
};

function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply, { bodyLimitBytes, log }: AnswerDeps): FastifyReply {
  const { requestId } = request;
  if (error instanceof TollgateError) {
    const { code, message, details, cause } = error;
    if (cause) log.warn({ err: cause, code, requestId }, 'request failed');
    return sendError(reply, requestId, { code, message, details });
  }
  const status = error.statusCode ?? 500;
  const code = FRAMEWORK_CODES[error.code] ?? (status >= 400 && status < 500 ? 'INVALID_REQUEST' : 'INTERNAL');
  if (code === 'INTERNAL') log.error({ err: error, requestId }, 'request failed');
  return sendError(reply, requestId, { code, details: detailsOf(code, bodyLimitBytes) });
}

function detailsOf(code: ErrorCode, bodyLimitBytes: number): Record<string, unknown> {
  if (code === 'PAYLOAD_TOO_LARGE') return { limit_bytes: bodyLimitBytes };
  return code === 'INVALID_REQUEST' ? { issues: [{ path: [], message: 'cannot be read' }] } : {};
}

function isPreflight({ headers }: FastifyRequest): boolean {
  return Boolean(headers.origin && headers['access-control-request-method']);
}

function answerNoRoute(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { requestId } = request;
  const allowed = methodsOf(app, request.url);
  if (allowed.length === 0 || allowed.includes(request.method)) return sendError(reply, requestId, { code: 'NOT_FOUND', details: {} });
  void reply.header('allow', allowed.join(', '));
  return sendError(reply, requestId, { code: 'METHOD_NOT_ALLOWED', details: {} });
}

/** Methods that `methodsOf` looks for. OPTIONS is missing, because the CORS plugin answers it for every path. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** Returns the methods that have a route for this path. */
function methodsOf(app: FastifyInstance, url: string): string[] {
  const route = routeOf(url.split('?', 1)[0] as string);
  return route === undefined ? [] : METHODS.filter((method) => app.findRoute({ method, url: route }) !== null);
}

/** Returns the route pattern for a path, because the router looks routes up by pattern. Returns undefined if no route can match. */
function routeOf(path: string): string | undefined {
  const service = /^\/v1\/([^/]*)\/execute$/.exec(path)?.[1];
  if (service !== undefined) return isService(service) ? '/v1/:service/execute' : undefined;
  const request = /^\/v1\/holds\/[^/]+\/(settle|void|extend)$/.exec(path)?.[1];
  if (request !== undefined) return `/v1/holds/:id/${request}`;
  return /[:*]/.test(path) ? undefined : path;
}
