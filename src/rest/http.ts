import type { Socket } from 'node:net';
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { CredentialKind } from '../access/secret';
import type { Config } from '../config';
import { TollgateError, invalid, type ErrorCode } from '../errors';
import type { KeptBytes } from '../gate/kept-bytes';
import { isBehindAnother, waitingOn, whenAnswered } from '../lib/answered';
import type { Log } from '../lib/log';
import { COMMON_HEADERS, sendError } from './answer';
import { ClientAddresses } from './client-address';
import { EndOfTurn } from './end-of-turn';
import { isService } from './execute.route';
import { newRequestId } from './request-id';
import { refuseTunnels, refuseUnparsed, type FormOf } from './unparsed';

// What all that this process answers has in common, whatever the route.

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose request it is, as far as trusted proxies tell; null if its connection has closed. `ip` knows of no proxy. */
    readonly address: string | null;
    /** Answered with every REST answer, as `X-Request-Id` too. */
    requestId: string;
    /** The caller's secret, in the form of one. */
    secret: string;
    credentialKind: CredentialKind;
    /** Undefined where its body is too small to be counted. */
    kept: KeptBytes | undefined;
    /** By `performance.now()`. */
    arrivedAt: number;
  }
}

/** Closes connections that have sent nothing, as browsers open them ahead: Node takes each for a late request, and a stop would wait for it. */
function closeSilentOnStop(server: FastifyInstance): void {
  const open = new Set<Socket>();
  server.server.on('connection', (socket) => {
    if (open.has(socket)) return; // it comes again after each request that is put back (graphql/streams/upgrades)
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.addHook('preClose', async () => {
    for (const socket of open) if (socket.bytesRead === 0) socket.destroy();
  });
}

/** How long a request may take to arrive, its body included. */
const REQUEST_TIMEOUT_MS = 120_000;

/** Requests that may wait behind others on one connection: about as many as Node reads at once. It reads no more while refusals wait to be sent. */
const MAX_WAITING = 2_048;

/** Without a logger of its own, which would be made anew for each request: what there is to log, those log who know of it. */
export function createServer(config: Config, formOf: FormOf): FastifyInstance {
  const server = Fastify({
    bodyLimit: config.bodyLimitBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { requireHostHeader: false }, // prepareAnswers refuses it, with a body
    clientErrorHandler: refuseUnparsed(formOf),
    return503OnClosing: false, // prepareAnswers has the form that all errors have
    forceCloseConnections: 'idle',
    frameworkErrors: ({ code }, _request, reply) => {
      void reply.headers(COMMON_HEADERS); // such a request passes no hook
      // No service has a name as long as what the router takes for none
      if (code === 'FST_ERR_MAX_PARAM_LENGTH') void sendError(reply, newRequestId(), { code: 'NOT_FOUND', details: {} });
      else void sendError(reply, newRequestId(), { code: 'INVALID_REQUEST', details: { issues: [{ path: [], message: 'the address cannot be read' }] } });
    },
  }) as unknown as FastifyInstance;
  closeSilentOnStop(server);
  refuseTunnels(server.server, formOf);
  // Remembered by the socket from here on: once the client has disconnected, nothing tells its address
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

/** What every answer of this process has in common, and how all but GraphQL's say that something is wrong. Call it on the root. */
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
  // With callbacks: a promise for each hook of each call would be the larger part of what they cost
  app.addHook('onRequest', (request, reply, done) => {
    request.arrivedAt = performance.now();
    request.requestId = newRequestId();
    void reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff'); // COMMON_HEADERS, without a loop
    if (closing) done(new TollgateError('SERVICE_UNAVAILABLE', 'This process is stopping; ask another one.')); // GraphQL has a form of its own
    else if (request.headers.host === undefined && request.raw.httpVersion === '1.1') done(invalid({ path: ['Host'], message: 'is required' }));
    else if (isBehindAnother(reply.raw) && isOneTooMany(request, reply)) done(new TollgateError('SERVICE_UNAVAILABLE', TOO_MANY_WAIT));
    else if (request.method === 'OPTIONS' && !isPreflight(request)) void answerNoRoute(app, request, reply); // CORS would refuse it in a form of its own
    else endOfTurn.run(done);
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    if (!request.url.startsWith('/graphql')) void reply.header('x-request-id', request.requestId);
    if (closing) void reply.header('connection', 'close'); // or the connection would stay, idle, and the stop wait for it
    done(null, payload);
  });
  app.removeAllContentTypeParsers(); // a path without a route reads no body; routes that read one say so
  app.setErrorHandler((error, request, reply) => answerError(error as FastifyError, request, reply, deps));
  app.setNotFoundHandler((request, reply) => answerNoRoute(app, request, reply));
  // Node would answer 417, and without a body; whoever expects what nobody knows gets what all others get
  app.server.on('checkExpectation', (request, response) => app.routing(request, response));
}

const TOO_MANY_WAIT = 'Too many requests wait on this connection; send more when some are answered.';

/** Counts a request that waits behind another on its connection until it is answered. */
function isOneTooMany({ raw }: FastifyRequest, reply: FastifyReply): boolean {
  const isFull = waitingOn(raw.socket) >= MAX_WAITING;
  if (!isFull) whenAnswered(raw, reply.raw, () => undefined);
  return isFull;
}

/** The codes of Fastify's own errors. */
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
  const details: Record<string, unknown> =
    code === 'PAYLOAD_TOO_LARGE' ? { limit_bytes: bodyLimitBytes } : code === 'INVALID_REQUEST' ? { issues: [{ path: [], message: 'cannot be read' }] } : {};
  return sendError(reply, requestId, { code, details });
}

function isPreflight({ headers }: FastifyRequest): boolean {
  return Boolean(headers.origin && headers['access-control-request-method']);
}

function answerNoRoute(app: FastifyInstance, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const allowed = methodsOf(app, request.url);
  if (allowed.length === 0 || allowed.includes(request.method)) return sendError(reply, request.requestId, { code: 'NOT_FOUND', details: {} });
  void reply.header('allow', allowed.join(', '));
  return sendError(reply, request.requestId, { code: 'METHOD_NOT_ALLOWED', details: {} });
}

/** Without OPTIONS, which CORS answers for every path, whether or not there is a route. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** The methods that a path has routes for. */
function methodsOf(app: FastifyInstance, url: string): string[] {
  const route = routeOf(url.split('?', 1)[0] as string);
  return route === undefined ? [] : METHODS.filter((method) => app.findRoute({ method, url: route }) !== null);
}

/** The pattern that a path's route would have, for the router finds routes by their patterns; undefined where none can be. */
function routeOf(path: string): string | undefined {
  const service = /^\/v1\/([^/]*)\/execute$/.exec(path)?.[1];
  if (service !== undefined) return isService(service) ? '/v1/:service/execute' : undefined;
  return /[:*]/.test(path) ? undefined : path;
}
