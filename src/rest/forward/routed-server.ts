import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { isBehindAnother, waitingOn, whenAnswered } from '../../lib/answered';
import { MAX_WAITING, STOPPING, TOO_MANY_WAIT } from '../http';
import { slowRequests } from '../slow-requests';
import { ForwardAuth, type ForwardAuthDeps } from '../forward-auth/forward-auth';
import { questionIn } from '../forward-auth/original';
import { askedBy, matchOf } from './matching';
import { RoutedCall, type RoutedRequestDeps } from './routed-request';

/** Time that calls in flight have to end after the process was told to stop. */
const STOP_GRACE_MS = 10_000;

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/**
 * Answers requests that match a route, before Fastify sees them: a body must not be read before its call is admitted, and an answer must
 * stream as it comes. Answers questions of proxies too, because they have any method and any path. Hands all other requests on.
 */
export class RoutedServer {
  private running = 0;
  private isStopping = false;
  private idle: () => void = () => undefined;

  constructor(private readonly deps: RoutedRequestDeps & ForwardAuthDeps) {}

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
    const question = questionIn(incoming.url ?? '');
    if (question) {
      const asked = new ForwardAuth(this.deps, question, incoming, outgoing);
      if (this.refusesAll(asked, incoming, outgoing)) return true;
      this.track(incoming, outgoing);
      void asked.answer();
      return true;
    }
    const match = matchOf(this.deps.follower, askedBy(incoming));
    if (match.kind === 'noRoute') return false;
    const call = new RoutedCall(this.deps, incoming, outgoing);
    if (this.refusesAll(call, incoming, outgoing)) return true;
    if (match.kind === 'badPath') {
      const issue = { path: ['path'], message: match.reason };
      call.refuse({ code: 'INVALID_REQUEST', details: { issues: [issue] } });
    } else if (match.kind === 'methodNotAllowed') {
      outgoing.setHeader('allow', match.allow.join(', '));
      call.refuse({ code: 'METHOD_NOT_ALLOWED', details: {} });
    } else if (headers['sec-websocket-key'] !== undefined) {
      call.refuse({ code: 'UPGRADE_NOT_SUPPORTED', details: {} });
    } else {
      slowRequests.add(incoming.socket);
      this.track(incoming, outgoing);
      void call.answer(match);
    }
    return true;
  }

  /** Refuses a request if this process is stopping, or if too many requests wait on its connection. */
  private refusesAll(call: Pick<RoutedCall, 'refuse'>, incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    const isFull = isBehindAnother(outgoing) && waitingOn(incoming.socket) >= MAX_WAITING;
    if (!this.isStopping && !isFull) return false;
    outgoing.shouldKeepAlive = false;
    call.refuse({ code: 'SERVICE_UNAVAILABLE', message: this.isStopping ? STOPPING : TOO_MANY_WAIT, details: {} });
    return true;
  }

  private track(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    this.running += 1;
    whenAnswered(incoming, outgoing, () => {
      this.running -= 1;
      slowRequests.delete(socket);
      if (this.running === 0) this.idle();
    });
  }
}
