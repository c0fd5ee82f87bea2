import websocket, { type WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GraphQLError } from 'graphql';
import { handleProtocols, makeServer, type Server } from 'graphql-ws';
import { NoPlace, Places } from '../../access/places';
import { customerAt } from '../../lib/cidr';
import { Connection } from './connection';
import { prepare, type StreamArgs } from './document';
import { GOODBYE_MS, type Credentials, type StreamServices } from './services';
import { asGraphQLError } from './stream';
import { upgradesOf } from './upgrades';

/** The longest message that a client may send. */
export const MAX_MESSAGE_BYTES = 65_536;
/** How long a client may take until it has said who it is. */
export const INIT_WAIT_MS = 3_000;
/** WebSockets that have not said who they are; they keep no place from those that have. */
const MAX_UNRECOGNISED = 512;
/** Of these, for each address (IPv6: one /64). */
const MAX_UNRECOGNISED_EACH = 64;
/** How often a client is asked whether it is there; it has as long for its answer. */
const PING_INTERVAL_MS = 12_000;
/** What may wait to be sent to a client that takes none of it. */
const MAX_UNSENT_BYTES = 1_048_576;

interface Close {
  code: number;
  reason: string;
}

/** Why the server ends a WebSocket. After all but 44xx a client may come again, with its cursor. */
const CLOSE = {
  stopping: { code: 1012, reason: 'The server is stopping: come again with your cursor' },
  full: { code: 1013, reason: 'Too many connections: try again later' },
  unavailable: { code: 1013, reason: 'Not available right now: try again later' },
  slow: { code: 4008, reason: 'Too slow: come again with your cursor' },
  invalid: { code: 4400, reason: 'Invalid message' },
  unauthorized: { code: 4401, reason: 'Unauthorized' },
  forbidden: { code: 4403, reason: 'Forbidden' },
  internal: { code: 4500, reason: 'Internal server error' },
} as const satisfies Record<string, Close>;

interface Extra {
  socket: WebSocket;
  request: FastifyRequest;
  /** To be called when it is known who opened it. */
  recognised(): void;
  connection?: Connection;
}

/** GraphQL over WebSocket, by the protocol graphql-transport-ws. Gives what takes the sockets of its route. */
export async function registerWebSockets(app: FastifyInstance, services: StreamServices): Promise<(socket: WebSocket, request: FastifyRequest) => void> {
  const sockets = new Set<WebSocket>();
  const unrecognised = new Places({ most: MAX_UNRECOGNISED, each: MAX_UNRECOGNISED_EACH, what: 'connections that have not said who they are' });
  await app.register(websocket, {
    options: { server: upgradesOf(app.server, '/graphql') as never, maxPayload: MAX_MESSAGE_BYTES, handleProtocols },
    errorHandler: (_error, socket) => socket.terminate(), // the connection broke, or a frame was none or too large: ws has said so by then
    preClose: (done: () => void) => {
      for (const socket of sockets) close(socket, CLOSE.stopping);
      done();
    },
  });
  const protocol = protocolOf(services);
  return (socket, request) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    try {
      const recognised = unrecognised.take(customerAt(request.address));
      socket.once('close', recognised);
      attach(protocol, { socket, request, recognised }, services);
    } catch (error) {
      close(socket, closeFor(error, services));
    }
  };
}

function protocolOf(services: StreamServices): Server<Extra> {
  const { schema, rules, recognise, again, tell } = services;
  return makeServer<Record<string, unknown>, Extra>({
    connectionInitWaitTimeout: INIT_WAIT_MS,
    onConnect: async ({ extra, connectionParams }) => {
      const { socket, request } = extra;
      const credentials = credentialsIn(connectionParams);
      const viewer = await recognise(request, credentials);
      const giveBack = services.connections.take(viewer.caller);
      if (socket.readyState !== socket.OPEN) return giveBack();
      const connection = new Connection(viewer, { ...services, again: (before) => again(before, request, credentials) }, {
        lost: (error) => close(socket, closeFor(error, services)),
        stalled: () => close(socket, CLOSE.slow),
      });
      extra.connection = connection;
      extra.recognised();
      socket.once('close', () => {
        connection.close();
        giveBack();
      });
    },
    onSubscribe: async ({ extra }, _id, payload) => {
      const args = await prepare(schema, payload, rules, (extra.connection as Connection).asker);
      return 'document' in args ? { ...args, contextValue: extra.connection } : [...args];
    },
    subscribe: async ({ contextValue, ...args }) => {
      try {
        return await (contextValue as Connection).open(args as StreamArgs);
      } catch (error) {
        return { errors: [asGraphQLError(error)] };
      }
    },
    onNext: (_ctx, _id, _payload, _args, { errors, ...result }) => ({ ...result, ...(errors && { errors: errors.map((error) => tell(error as GraphQLError)) }) }),
    onError: (_ctx, _id, _payload, errors) => errors.map((error) => tell(error as GraphQLError)),
  });
}

/** Speaks the protocol on a socket until that closes. */
function attach(protocol: Server<Extra>, extra: Extra, services: StreamServices): void {
  const { socket } = extra;
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      // Resolves when the socket has taken it, so that a stream waits for its reader
      send: (data) =>
        new Promise((resolve) => {
          if (socket.bufferedAmount > MAX_UNSENT_BYTES) close(socket, CLOSE.slow);
          if (socket.readyState !== socket.OPEN) return resolve();
          socket.send(data, () => resolve());
        }),
      close: (code = CLOSE.internal.code, reason = '') => close(socket, { code, reason }),
      onMessage: (take) => socket.on('message', (data: Buffer) => void take(data.toString()).catch((error: unknown) => close(socket, closeFor(error, services)))),
    },
    extra,
  );
  let isThere = true;
  socket.on('pong', () => (isThere = true));
  const pinging = setInterval(() => {
    if (!isThere) return socket.terminate();
    isThere = false;
    socket.ping();
  }, PING_INTERVAL_MS);
  socket.once('close', (code, reason) => {
    clearInterval(pinging);
    void closed(code, String(reason)).catch((error: unknown) => services.report(error));
  });
}

/**
 * What a browser, which can set no headers here, says in `connectionParams`: `{ authorization }` or `{ apiKey }`, or the headers by their
 * names in any case, as GraphiQL does.
 */
function credentialsIn(params: Record<string, unknown> = {}): Credentials {
  const given = new Map(Object.entries(params).map(([name, value]) => [name.toLowerCase(), value]));
  const text = (...names: string[]) => names.map((name) => given.get(name)).find((value) => typeof value === 'string');
  return { authorization: text('authorization'), 'x-api-key': text('apikey', 'x-api-key') };
}

function closeFor(error: unknown, { report }: StreamServices): Close {
  if (error instanceof NoPlace) return { ...CLOSE.full, reason: error.message };
  const { extensions, originalError } = asGraphQLError(error);
  if (extensions.code === 'UNAUTHENTICATED') return CLOSE.unauthorized;
  if (extensions.code === 'FORBIDDEN') return CLOSE.forbidden;
  if (extensions.code === 'INVALID_REQUEST') return CLOSE.invalid;
  report(originalError ?? error);
  return extensions.code === 'SERVICE_UNAVAILABLE' ? CLOSE.unavailable : CLOSE.internal;
}

/** Says goodbye, and cuts off whoever does not answer that. */
function close(socket: WebSocket, { code, reason }: Close): void {
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate(), GOODBYE_MS);
  socket.once('close', () => clearTimeout(timer));
}
