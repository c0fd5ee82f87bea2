import { STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '../errors';
import { afterAnswers, answerOn } from '../lib/answered';
import { errorBody } from './answer';
import { newRequestId } from './request-id';

/** How long a connection stays open after such an answer, so that its client reads it before the connection is reset. */
const LINGER_MS = 1_000;

/** What a request is answered with that no route sees. */
export interface Unparsed {
  status: number;
  code: ErrorCode;
  message: string;
}

/** The body of an answer, with what its headers say of it. */
export interface AnswerForm {
  headers: Record<string, string>;
  body: string;
}

/** The form of the routes below an address; undefined for REST. */
export type FormOf = (url: string, refused: Unparsed) => AnswerForm | undefined;

/** Node's errors of requests that it cannot read, with what they are answered. */
const REFUSALS: Record<string, Unparsed> = {
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, code: 'INVALID_REQUEST', message: 'The request did not arrive in time; send it again.' },
  HPE_HEADER_OVERFLOW: { status: 431, code: 'INVALID_REQUEST', message: 'The headers are larger than this server takes; send fewer or shorter ones.' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, code: 'PAYLOAD_TOO_LARGE', message: 'The extensions of a chunk are larger than this server takes; send none.' },
};
const UNREADABLE: Unparsed = { status: 400, code: 'INVALID_REQUEST', message: 'The request cannot be read as HTTP/1.1; mend its request line, headers or chunks.' };
const NO_TUNNEL: Unparsed = { status: 404, code: 'NOT_FOUND', message: 'This server opens no tunnels.' };

/** Answers CONNECT, which Node would leave without an answer. */
export function refuseTunnels(server: Server, formOf: FormOf): void {
  server.on('connect', (request: IncomingMessage, socket: Duplex) => {
    afterAnswers(socket, () => end(socket.on('error', () => undefined).resume(), NO_TUNNEL, request.url ?? '', formOf));
  });
}

/** For Node's `clientError`: answers what Node cannot read in the form of its routes, after the requests before it, and ends the connection. */
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
    const hasLeft = error.code === 'ECONNRESET' || (socket.readableEnded && answerOn(socket)?.req.complete);
    if (hasLeft || socket.destroyed) return void socket.destroy();
    if (error.code === 'HPE_CLOSED_CONNECTION' || refused.has(socket)) return; // came after the last request, whose answer ends the connection
    refused.add(socket);
    refuse(error, socket);
  };
}

function end(socket: Duplex, refused: Unparsed, url: string, formOf: FormOf): void {
  const { status, code, message } = refused;
  const requestId = newRequestId();
  const issues = code === 'INVALID_REQUEST' ? { issues: [{ path: [], message }] } : {};
  const { headers, body } = formOf(url, refused) ?? { headers: { 'content-type': 'application/json; charset=utf-8' }, body: errorBody(requestId, code, message, issues) };
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
