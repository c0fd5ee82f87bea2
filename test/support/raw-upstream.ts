import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';

// Upstreams with arbitrary answers, including invalid and incomplete ones. They are closed when the test file has ended.

/** Valid answers of an upstream: the action succeeded, and the action says no. */
export const OK = '{"ok":true,"data":{"face":1}}';
export const NO = '{"ok":false,"errors":[{"code":"NO_FACE_DETECTED","message":"There is no face."}]}';

/** An object that a JavaScript parser would change: its numbers, the order of its names, and its characters. */
export const ODD_JSON =
  String.raw`{ "id": 1234567890123456789, "2": 1e400, "1": [-0, 1.0, 1E5, 0.1000, 1e-400], ` +
  String.raw`"__proto__": {"a": 1}, "\u0064": "\ud800\/" }`;

export interface Received {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface RawUpstream {
  url: string;
  /** Emits `received` for each whole request. */
  server: Server;
  received: Received[];
  connections: number;
}

export type Answer = (response: ServerResponse, request: IncomingMessage, upstream: RawUpstream) => void;

/** Answers with this text and the media type of JSON. The text may be invalid. */
export const json = (status: number, body: string): Answer => (response) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
};

/** Starts an HTTP server on a free port. It records requests and answers each complete one with `answer`. */
export async function startRawUpstream(answer: Answer): Promise<RawUpstream> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      upstream.received.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      server.emit('received');
      answer(response, request, upstream);
    });
  });
  const upstream: RawUpstream = { url: '', server, received: [], connections: 0 };
  server.on('connection', () => upstream.connections++);
  upstream.url = `http://127.0.0.1:${await listen(server)}/actions?of=faces`;
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return upstream;
}

/** Starts a TCP server, for answers that no HTTP server would give. Returns its port. */
export async function startRawServer(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return listen(server);
}

/** Listens on a free port. Returns the port. */
export async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
