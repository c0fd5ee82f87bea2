import type { WebSocket } from '@fastify/websocket';
import type { FastifyInstance, FastifyRequest, RouteShorthandOptions } from 'fastify';
import { Places } from '../../access/places';
import { Pace } from './pace';
import type { StreamServices } from './services';
import { registerSse } from './sse';
import { registerWebSockets } from './websocket';

/** WebSockets that a process has, and requests for events; past it a client is told to try again later. */
const MAX_STREAM_CONNECTIONS = 256;
/** Of these, for each person, for the operator, and for all keys of a workspace together. */
export const MAX_STREAM_CONNECTIONS_EACH = 32;
/** Subscriptions that a process has, each of which asks the database for more twice in a second. */
const MAX_STREAMS = 256;
/** Of these, for each as above. */
const MAX_STREAMS_EACH = 32;
/** Events that a process sends in a second, over all streams, so that calls come first; more of them wait in the database. */
const MAX_EVENTS_PER_SECOND = 2_000;

export interface StreamsDeps extends Omit<StreamServices, 'connections' | 'streams' | 'pace'> {
  /** How the body of a request is read. */
  body: RouteShorthandOptions;
}

/** Subscriptions: `/graphql/stream`, and what takes the WebSockets that open at `/graphql`. */
export async function registerStreams(app: FastifyInstance, { body, ...deps }: StreamsDeps): Promise<(socket: WebSocket, request: FastifyRequest) => void> {
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
