import type { TollgateError } from '../errors';
import { Lanes } from '../lib/lanes';
import { UpstreamConnections } from '../lib/upstream-connections';
import { Exchange } from './exchange';
import type { ForwardRequest } from './request';
import { isLoop } from './request-headers';

/** The most calls at one origin at once. Others wait, and projects take turns. Waiting counts against `timeoutMs`. */
export const MAX_CALLS_PER_ORIGIN = 1024;
/** The largest head, and the largest trailers, of an upstream's answer. */
export const MAX_HEAD_BYTES = 65_536;

export interface ForwarderOptions {
  /** Names of cookies that belong to Tollgate. They are passed neither to upstreams nor to callers. */
  ownCookies: readonly string[];
  /** The name of this installation in the header CDN-Loop. Another installation must have another name. */
  loopId: string;
}

/** Forwards requests to upstreams and streams their answers. Follows no redirect, and sends no request twice. */
export class Forwarder {
  private readonly ownCookies: ReadonlySet<string>;
  private readonly loopId: string;
  private readonly running = new Set<Exchange>();
  private readonly places = new Lanes(MAX_CALLS_PER_ORIGIN);
  private readonly connections = new UpstreamConnections({ connections: MAX_CALLS_PER_ORIGIN, maxHeaderSize: MAX_HEAD_BYTES });

  constructor({ ownCookies, loopId }: ForwarderOptions) {
    this.ownCookies = new Set(ownCookies);
    this.loopId = loopId;
  }

  /**
   * Forwards one request. Resolves when the call is settled and its end is sent: with null, or with an error that the caller of this
   * function must answer with, because nothing was sent. Rejects if `settle` rejects; then nothing was sent, or the connection is cut.
   */
  async forward(request: ForwardRequest): Promise<TollgateError | null> {
    const { places, connections, ownCookies, loopId } = this;
    const exchange = new Exchange(request, { places, connections, ownCookies, loopId });
    this.running.add(exchange);
    try {
      return await exchange.run();
    } finally {
      this.running.delete(exchange);
    }
  }

  /** Whether a request has already passed through this installation. */
  isLoop(rawHeaders: readonly string[]): boolean {
    return isLoop(rawHeaders, this.loopId);
  }

  /** Ends all calls as SERVICE_UNAVAILABLE, and closes all connections to upstreams. */
  async close(): Promise<void> {
    for (const exchange of this.running) exchange.fail('SERVICE_UNAVAILABLE', 'The server is shutting down.');
    await this.connections.close();
  }
}
