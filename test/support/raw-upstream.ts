import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';

// Upstreams that answer whatever they like, bytes of their own and half of them too. They are closed when the test file has ended.

/** Answers that an upstream should give: the action did it, and the action says no. */
export const OK = '{"ok":true,"data":{"face":1}}';
export const NO = '{"ok":false,"errors":[{"code":"NO_FACE_DETECTED","message":"There is no face."}]}';

/** An object that comes out of a JavaScript parser as another one: numbers, names and characters that it changes or reorders. */
export const ODD_JSON = String.raw`{ "id": 1234567890123456789, "2": 1e400, "1": [-0, 1.0, 1E5, 0.1000, 1e-400], "__proto__": {"a": 1}, "\u0064": "\ud800\/" }`;

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

/** Answers this text as JSON, whatever it is. */
export const json = (status: number, body: string): Answer => (response) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
};

/** A real HTTP server on a free port that keeps what it receives and answers each whole request by `answer`. */
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

/** The port of a TCP server, for what no HTTP server would do. */
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

/** Listens on a free port, and says on which. */
export async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
