import type { ExecutionResult } from 'graphql';
import type { Places } from '../../access/places';
import { TollgateError } from '../../errors';
import type { GraphQLContext } from '../../graphql/context';
import type { StreamArgs } from './document';
import type { Pace } from './pace';
import { Stream, type Results } from './stream';

/** Interval between checks that the caller of a connection may still read its streams. */
export const STREAM_RIGHT_MS = 1_000;
/** Time that a reader may leave a result unread. The connection is closed after that. */
export const STREAM_STALL_MS = 10_000;
/** Maximum subscriptions on one WebSocket. */
export const MAX_STREAMS_PER_CONNECTION = 20;

export interface ConnectionDeps {
  /** Authenticates the caller again. Rejects if the credential has ended. */
  again(viewer: GraphQLContext): Promise<GraphQLContext>;
  streams: Places;
  pace: Pace;
}

export interface ConnectionEnds {
  /** Called if the credential has ended or cannot be checked. Nothing more may be sent. */
  lost(error: unknown): void;
  /** Called if the reader takes no results. */
  stalled(): void;
}

/** The streams of one reader. Checks its rights regularly, and ends the streams that it may no longer read. */
export class Connection {
  private readonly streams = new Set<Stream>();
  private readonly timer: NodeJS.Timeout;
  private asking = false;
  private isClosed = false;

  constructor(
    private viewer: GraphQLContext,
    private readonly deps: ConnectionDeps,
    private readonly ends: ConnectionEnds,
  ) {
    this.timer = setInterval(() => void this.watch(), STREAM_RIGHT_MS);
  }

  /** Opens a subscription. Throws SERVICE_UNAVAILABLE if too many are open, or if the reader has disconnected. */
  async open(args: StreamArgs): Promise<Results | ExecutionResult> {
    if (this.isClosed) throw new TollgateError('SERVICE_UNAVAILABLE'); // a new stream would never end
    if (this.streams.size >= MAX_STREAMS_PER_CONNECTION) {
      const message = `This connection has ${MAX_STREAMS_PER_CONNECTION} subscriptions, the maximum. End one, or open another connection.`;
      throw new TollgateError('SERVICE_UNAVAILABLE', message);
    }
    const giveBack = this.deps.streams.take(this.viewer.caller);
    const stream = new Stream({
      pace: this.deps.pace,
      viewer: () => this.viewer,
      ended: (ended) => {
        this.streams.delete(ended);
        giveBack();
      },
    });
    this.streams.add(stream);
    return stream.open(args);
  }

  /** A new context of the caller, for one more request. */
  get asker(): GraphQLContext {
    return this.viewer.later();
  }

  /** Ends all subscriptions. If there is a reason, the last result of each is this error. */
  endAll(reason?: unknown): void {
    for (const stream of [...this.streams]) stream.end(reason);
  }

  close(): void {
    this.isClosed = true;
    clearInterval(this.timer);
    this.endAll();
  }

  private async watch(): Promise<void> {
    const stalledAt = performance.now() - STREAM_STALL_MS;
    if ([...this.streams].some(({ waitsSince }) => waitsSince !== undefined && waitsSince <= stalledAt)) return this.ends.stalled();
    if (this.asking) return;
    this.asking = true;
    try {
      this.viewer = await this.deps.again(this.viewer);
      await Promise.all([...this.streams].map((stream) => stream.checkRight(this.viewer)));
    } catch (error) {
      this.ends.lost(error);
    } finally {
      this.asking = false;
    }
  }
}
