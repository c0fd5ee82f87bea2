import type { ExecutionResult } from 'graphql';
import type { Places } from '../../access/places';
import { TollgateError } from '../../errors';
import type { GraphQLContext } from '../context';
import type { StreamArgs } from './document';
import type { Pace } from './pace';
import { Stream, type Results } from './stream';

/** How often it is asked whether whoever has streams still may. */
export const STREAM_RIGHT_MS = 1_000;
/** How long a reader may take nothing of what waits for it; then it is cut off. */
export const STREAM_STALL_MS = 10_000;
/** Subscriptions on one WebSocket. */
export const MAX_STREAMS_PER_CONNECTION = 20;

export interface ConnectionDeps {
  /** Who asked before, as they stand now; rejects where their credential has ended. */
  again(viewer: GraphQLContext): Promise<GraphQLContext>;
  streams: Places;
  pace: Pace;
}

export interface ConnectionEnds {
  /** The credential has ended, or nobody can say: nothing more may be sent. */
  lost(error: unknown): void;
  /** Its reader takes nothing. */
  stalled(): void;
}

/** Whoever reads streams, for as long as they may. */
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

  /** Opens a subscription. SERVICE_UNAVAILABLE where too many are open, or its reader has gone. */
  async open(args: StreamArgs): Promise<Results | ExecutionResult> {
    if (this.isClosed) throw new TollgateError('SERVICE_UNAVAILABLE'); // or nobody would end it
    if (this.streams.size >= MAX_STREAMS_PER_CONNECTION) throw new TollgateError('SERVICE_UNAVAILABLE', `This connection has ${MAX_STREAMS_PER_CONNECTION} subscriptions, which are all that it may.`);
    const giveBack = this.deps.streams.take(this.viewer.caller);
    const stream = new Stream({
      pace: this.deps.pace,
      viewer: () => this.viewer,
      ended: (one) => {
        this.streams.delete(one);
        giveBack();
      },
    });
    this.streams.add(stream);
    return stream.open(args);
  }

  /** Whoever reads, for one more request of theirs. */
  get asker(): GraphQLContext {
    return this.viewer.later();
  }

  /** Ends every subscription, with a last result that tells the reason. */
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
