import websocket, { type WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { GraphQLError } from 'graphql';
import { handleProtocols, makeServer, type Server } from 'graphql-ws';
import { NoPlace, Places } from '../../access/places';
import { customerAt } from '../../lib/cidr';
import type { GraphQLContext } from '../../graphql/context';
import { Connection } from './connection';
import { prepare, type StreamArgs } from './document';
import { GOODBYE_MS, type Credentials, type StreamServices } from './services';
import { asGraphQLError } from './stream';
import { upgradesOf } from './upgrades';

/** Maximum size of a message from a client. */
export const MAX_MESSAGE_BYTES = 65_536;
/** Maximum time for a client to authenticate. */
export const INIT_WAIT_MS = 3_000;
/** Maximum WebSockets that have not authenticated yet. They take no places of authenticated ones. */
const MAX_UNRECOGNISED = 512;
/** Maximum WebSockets that have not authenticated, for each address (IPv6: for each /64). */
const MAX_UNRECOGNISED_EACH = 64;
/** Interval of pings. A client must answer before the next one. */
const PING_INTERVAL_MS = 12_000;
/** Maximum unsent bytes for a client that does not read. */
const MAX_UNSENT_BYTES = 1_048_576;

interface Close {
  code: number;
  reason: string;
}

/** Reasons for closing a WebSocket. Except after 44xx, a client may connect again with its last cursor. */
const CLOSE = {
  stopping: { code: 1012, reason: 'The server is stopping. Connect again with your last cursor' },
  full: { code: 1013, reason: 'Too many connections: try again later' },
  unavailable: { code: 1013, reason: 'Not available right now: try again later' },
  slow: { code: 4008, reason: 'Reading too slowly. Connect again with your last cursor' },
  invalid: { code: 4400, reason: 'Invalid message' },
  unauthorized: { code: 4401, reason: 'Unauthorized' },
  forbidden: { code: 4403, reason: 'Forbidden' },
  internal: { code: 4500, reason: 'Internal server error' },
} as const satisfies Record<string, Close>;

interface Extra {
  socket: WebSocket;
  request: FastifyRequest;
  /** Must be called after authentication. */
  recognised(): void;
  connection?: Connection;
}

/** Serves GraphQL over WebSocket, with the protocol graphql-transport-ws. Returns the handler for the sockets of the route. */
export async function registerWebSockets(
  app: FastifyInstance,
  services: StreamServices,
): Promise<(socket: WebSocket, request: FastifyRequest) => void> {
  const sockets = new Set<WebSocket>();
  const unrecognised = new Places({ most: MAX_UNRECOGNISED, each: MAX_UNRECOGNISED_EACH, what: 'unauthenticated connections' });
  await app.register(websocket, {
    options: { server: upgradesOf(app.server, '/graphql') as never, maxPayload: MAX_MESSAGE_BYTES, handleProtocols },
    // The connection broke, or a frame was invalid or too large. ws has already sent the reason
    errorHandler: (_error, socket) => socket.terminate(),
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
      const deps = { ...services, again: (before: GraphQLContext) => again(before, request, credentials) };
      const connection = new Connection(viewer, deps, {
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
    onNext: (_ctx, _id, _payload, _args, { errors, ...result }) => ({
      ...result,
      ...(errors && { errors: errors.map((error) => tell(error as GraphQLError)) }),
    }),
    onError: (_ctx, _id, _payload, errors) => errors.map((error) => tell(error as GraphQLError)),
  });
}

/** Runs the protocol on a socket until the socket closes. */
function attach(protocol: Server<Extra>, extra: Extra, services: StreamServices): void {
  const { socket } = extra;
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      // Resolves when the socket has sent the message, so that a stream waits for its reader
      send: (data) =>
        new Promise((resolve) => {
          if (socket.bufferedAmount > MAX_UNSENT_BYTES) close(socket, CLOSE.slow);
          if (socket.readyState !== socket.OPEN) return resolve();
          socket.send(data, () => resolve());
        }),
      close: (code = CLOSE.internal.code, reason = '') => close(socket, { code, reason }),
      onMessage: (take) => {
        const failed = (error: unknown) => close(socket, closeFor(error, services));
        socket.on('message', (data: Buffer) => void take(data.toString()).catch(failed));
      },
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
 * Reads credentials from `connectionParams`, because a browser cannot set headers of a WebSocket. Accepts `{ authorization }`,
 * `{ apiKey }`, and the names of the headers in any case, which GraphiQL sends.
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

/** Closes a socket. Terminates it if the client does not answer within GOODBYE_MS. */
function close(socket: WebSocket, { code, reason }: Close): void {
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate(), GOODBYE_MS);
  socket.once('close', () => clearTimeout(timer));
}
