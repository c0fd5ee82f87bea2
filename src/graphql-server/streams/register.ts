import type { WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest, RouteShorthandOptions } from 'fastify';
import { Places } from '../../access/places';
import { Pace } from './pace';
import type { StreamServices } from './services';
import { registerSse } from './sse';
import { registerWebSockets } from './websocket';

/** Maximum WebSockets and event-stream requests of a process. Beyond that, clients must try again later. */
const MAX_STREAM_CONNECTIONS = 256;
/** Maximum WebSockets and event-stream requests per owner: a person, the operator, or all keys of a workspace together. */
export const MAX_STREAM_CONNECTIONS_EACH = 32;
/** Maximum subscriptions of a process. Each polls the database twice per second. */
const MAX_STREAMS = 256;
/** Maximum subscriptions per owner. */
const MAX_STREAMS_EACH = 32;
/** Maximum events that a process sends per second, on all streams together, so that calls come first. Others wait in the database. */
const MAX_EVENTS_PER_SECOND = 2_000;

export interface StreamsDeps extends Omit<StreamServices, 'connections' | 'streams' | 'pace'> {
  /** Route options for reading the body of a request. */
  body: RouteShorthandOptions;
}

/** Serves subscriptions at `/graphql/stream`. Returns the handler for WebSockets at `/graphql`. */
export async function registerStreams(
  app: FastifyInstance,
  { body, ...deps }: StreamsDeps,
): Promise<(socket: WebSocket, request: FastifyRequest) => void> {
  const services: StreamServices = {
    ...deps,
    connections: new Places({ most: MAX_STREAM_CONNECTIONS, each: MAX_STREAM_CONNECTIONS_EACH, what: 'connections' }),
    streams: new Places({ most: MAX_STREAMS, each: MAX_STREAMS_EACH, what: 'subscriptions' }),
    pace: new Pace(MAX_EVENTS_PER_SECOND),
  };
  const takeSocket = await registerWebSockets(app, services);
  registerSse(app, { services, body });
  return takeSocket;
}
