import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../errors';
import { afterAnswers, answerOn } from '../lib/answered';
import { errorBody } from './answer';
import { newRequestId } from './request-id';
import { slowRequests } from './slow-requests';

/** Time that a connection stays open after such an answer. Closing at once could reset it before the client has read the answer. */
const LINGER_MS = 1_000;

/** The answer to a request that cannot be routed. */
export interface Unparsed {
  status: number;
  code: ErrorCode;
  message: string;
}

/** The body of an answer, and its headers. */
export interface AnswerForm {
  headers: Record<string, string>;
  body: string;
}

/** Returns the answer in the form of the routes at this URL. Returns undefined for REST. */
export type FormOf = (url: string, refused: Unparsed) => AnswerForm | undefined;

const invalidRequest = (status: number, message: string): Unparsed => ({ status, code: 'INVALID_REQUEST', message });

/** Answers by the code of Node's error. */
const REFUSALS: Record<string, Unparsed> = {
  ERR_HTTP_REQUEST_TIMEOUT: invalidRequest(408, 'The request did not arrive in time. Send it again.'),
  HPE_HEADER_OVERFLOW: invalidRequest(431, 'The headers are too large. Send fewer or shorter ones.'),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    code: 'PAYLOAD_TOO_LARGE',
    message: 'The chunk extensions are too large. Send none.',
  },
};
const UNREADABLE = invalidRequest(400, 'The request is not valid HTTP/1.1. Correct its request line, headers or chunks.');
const NO_TUNNEL: Unparsed = { status: 404, code: 'NOT_FOUND', message: 'This server does not support CONNECT.' };

/** Answers CONNECT. Node would close the connection without an answer. */
export function refuseTunnels(server: Server, formOf: FormOf): void {
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    afterAnswers(socket, () => end(socket.on('error', () => undefined).resume(), NO_TUNNEL, request.url ?? '', formOf));
  });
}

/**
 * Returns a handler for Node's `clientError`. It answers a request that Node cannot parse, in the form of the routes at its URL, after the
 * answers to earlier requests. Then it ends the connection.
 */
export function refuseUnparsed(formOf: FormOf): (error: Error, socket: Duplex) => void {
  const refused = new WeakSet<Duplex>();
  const refuse = (error: Error & { code?: string; rawPacket?: Buffer }, socket: Duplex): void => {
    const answer = answerOn(socket);
    if (!socket.writable) return void socket.destroy();
    if (answer?.req.complete) return void answer.once('close', () => refuse(error, socket));
    if (answer?.headersSent) return void socket.destroy();
    const url = answer?.req.url ?? /^[A-Z]+ (\S+) HTTP/.exec(error.rawPacket?.toString('latin1', 0, 1_024) ?? '')?.[1];
    end(socket, REFUSALS[error.code ?? ''] ?? UNREADABLE, url ?? '', formOf);
  };
  return (error: Error & { code?: string }, socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && slowRequests.has(socket)) return; // its route limits its time
    const isDisconnected = error.code === 'ECONNRESET' || (socket.readableEnded && answerOn(socket)?.req.complete);
    if (isDisconnected || socket.destroyed) return void socket.destroy();
    // Ignores bytes after the last request: its answer ends the connection
    if (error.code === 'HPE_CLOSED_CONNECTION' || refused.has(socket)) return;
    refused.add(socket);
    refuse(error, socket);
  };
}

function end(socket: Duplex, refused: Unparsed, url: string, formOf: FormOf): void {
  const { status, code, message } = refused;
  const requestId = newRequestId();
  const issues = code === 'INVALID_REQUEST' ? { issues: [{ path: [], message }] } : {};
  const restForm = (): AnswerForm => ({
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: errorBody(requestId, code, message, issues),
  });
  const { headers, body } = formOf(url, refused) ?? restForm();
  const all = {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(!url.startsWith('/graphql') && { 'x-request-id': requestId }),
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`);
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
