import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { isBehindAnother, waitingOn, whenAnswered } from '../../lib/answered';
import { MAX_WAITING, STOPPING, TOO_MANY_WAIT } from '../http';
import { slowRequests } from '../slow-requests';
import { RoutedCall, isPreflight, type RoutedRequestDeps } from './routed-request';

/** Time that calls in flight have to end after the process was told to stop. */
const STOP_GRACE_MS = 10_000;

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/**
 * Answers requests that match a route, before Fastify sees them: a body must not be read before its call is admitted, and an answer must
 * stream as it comes. Hands all other requests on.
 */
export class RoutedServer {
  private running = 0;
  private isStopping = false;
  private idle: () => void = () => undefined;

  constructor(private readonly deps: RoutedRequestDeps) {}

  /** Takes the requests of a server from its present listeners, which then get those that no route matches. */
  takeOver(server: Server): void {
    for (const event of ['request', 'checkContinue'] as const) {
      const others = server.listeners(event) as Listener[];
      server.removeAllListeners(event);
      server.on(event, (incoming: IncomingMessage, outgoing: ServerResponse) => {
        if (this.takes(incoming, outgoing)) return;
        if (event === 'request' || others.length > 0) for (const next of others) next(incoming, outgoing);
        else {
          outgoing.writeContinue();
          server.emit('request', incoming, outgoing);
        }
      });
    }
  }

  /** Lets calls in flight end for STOP_GRACE_MS, and refuses new ones. */
  async stop(): Promise<void> {
    this.isStopping = true;
    if (this.running === 0) return;
    await new Promise<void>((resolve) => {
      this.idle = resolve;
      setTimeout(resolve, STOP_GRACE_MS).unref();
    });
  }

  /** Answers a request if a route matches it. Returns false if none does. */
  private takes(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const { headers, httpVersion } = incoming;
    if (headers.host === undefined && httpVersion === '1.1') return false; // refused as at all other paths
    const match = this.match(incoming);
    if (match.kind === 'noRoute') return false;
    const call = new RoutedCall(this.deps, incoming, outgoing);
    const isFull = isBehindAnother(outgoing) && waitingOn(incoming.socket) >= MAX_WAITING;
    if (this.isStopping || isFull) {
      const message = this.isStopping ? STOPPING : TOO_MANY_WAIT;
      outgoing.shouldKeepAlive = false;
      call.refuse({ code: 'SERVICE_UNAVAILABLE', message, details: {} });
    } else if (match.kind === 'badPath') {
      const issue = { path: ['path'], message: match.reason };
      call.refuse({ code: 'INVALID_REQUEST', details: { issues: [issue] } });
    } else if (match.kind === 'methodNotAllowed') {
      outgoing.setHeader('allow', match.allow.join(', '));
      call.refuse({ code: 'METHOD_NOT_ALLOWED', details: {} });
    } else if (headers['sec-websocket-key'] !== undefined) {
      call.refuse({ code: 'UPGRADE_NOT_SUPPORTED', details: {} });
    } else {
      this.track(incoming, outgoing);
      void call.answer(match);
    }
    return true;
  }

  /** A CORS preflight belongs to the route of the method that it asks for, if that route passes it on. */
  private match(incoming: IncomingMessage): ReturnType<RoutedRequestDeps['follower']['match']> {
    const { method = '', url = '', headers } = incoming;
    const { follower } = this.deps;
    if (isPreflight(incoming)) {
      const match = follower.match(headers['access-control-request-method'] as string, headers.host, url);
      if (match.kind === 'route' && match.route.passPreflight) return match;
    }
    return follower.match(method, headers.host, url);
  }

  private track(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    this.running += 1;
    slowRequests.add(socket);
    whenAnswered(incoming, outgoing, () => {
      this.running -= 1;
      slowRequests.delete(socket);
      if (this.running === 0) this.idle();
    });
  }
}
