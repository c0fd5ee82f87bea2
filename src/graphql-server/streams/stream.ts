import { setTimeout as wait } from 'node:timers/promises';
import { GraphQLError, createSourceEventStream, type ExecutionResult } from 'graphql';
import { isCutOff, isRetryable, isUnavailable } from '../../db/failures';
import { TollgateError } from '../../errors';
import type { Feed, FeedPage } from '../../lib/feed';
import { run } from '../bounded-execution';
import type { GraphQLContext, OpenStream, Subscribed } from '../../graphql/context';
import { failureOf, toGraphQLError } from '../../graphql/errors';
import type { EventPrice, StreamArgs } from './document';
import { Execution } from '../../graphql/work';
import type { Pace } from './pace';

/** Interval of polling for new events. */
export const STREAM_POLL_MS = 500;
/** Maximum events in one read. The next read happens after the reader has taken these. */
export const STREAM_PAGE = 200;

export type Results = AsyncGenerator<ExecutionResult, void, void>;

export interface StreamDeps {
  pace: Pace;
  /** The context of the caller, with its current permissions. */
  viewer(): GraphQLContext;
  /** Called once when the stream has ended. */
  ended(stream: Stream): void;
}

/** One open subscription. Reads as fast as its reader takes results, and buffers at most one page. */
export class Stream implements OpenStream {
  /** Time when the waiting result began to wait for the reader, by performance.now(). Undefined if none waits. */
  waitsSince: number | undefined;
  private readonly over = new AbortController();
  private allow: Subscribed<unknown>['allow'] | undefined;
  private reason: unknown;

  constructor(private readonly deps: StreamDeps) {}

  /** Starts the subscription. Returns its results, or the errors that prevent the start. */
  async open(args: StreamArgs): Promise<Results | ExecutionResult> {
    let events: AsyncIterable<unknown> | ExecutionResult;
    try {
      events = await createSourceEventStream({ ...args, contextValue: this.deps.viewer().later(this) });
    } catch (error) {
      events = { errors: [asGraphQLError(error)] };
    }
    if (!isStream(events)) {
      this.end();
      return events;
    }
    return this.endable(this.results(args, events));
  }

  /** Makes `return` end the results at once. A generator alone would wait for its next event first. */
  private endable(results: Results): Results {
    const endable: Omit<Results, typeof Symbol.asyncDispose> = {
      next: () => results.next(),
      return: (value) => (this.end(), results.return(value)),
      throw: (error) => (this.end(), results.throw(error)),
      [Symbol.asyncIterator]: () => endable as Results,
    };
    return endable as Results;
  }

  /** Called by the subscription's resolver. */
  send<T>(feed: Feed<T>, allow: Subscribed<T>['allow']): AsyncIterable<T> {
    this.allow = allow;
    return this.events(feed);
  }

  /** Ends the stream if the caller may no longer read it. Rejects if the database is temporarily unavailable. */
  async checkRight(viewer: GraphQLContext): Promise<void> {
    try {
      await this.allow?.(viewer.later());
    } catch (error) {
      if (isTemporary(error)) throw error;
      this.end(error);
    }
  }

  /** Ends the stream after the current result. If there is a reason, sends it as the last result. */
  end(reason?: unknown): void {
    if (this.over.signal.aborted) return;
    this.reason = reason;
    this.over.abort();
    this.deps.ended(this);
  }

  private async *events<T>(feed: Feed<T>): AsyncGenerator<T> {
    const { signal } = this.over;
    while (!signal.aborted) {
      const { events, more } = await this.read(feed);
      for (const event of events) {
        if (signal.aborted) return;
        yield event;
      }
      if (!more) await this.wait(STREAM_POLL_MS);
    }
  }

  /**
   * Reads new events. If the database is temporarily unavailable, returns none: the feed keeps its position. The regular check of the
   * connection ends it if necessary.
   */
  private async read<T>(feed: Feed<T>): Promise<FeedPage<T>> {
    try {
      return await feed.next(STREAM_PAGE);
    } catch (error) {
      if (isTemporary(error)) return { events: [], more: false };
      throw error;
    }
  }

  /** Waits until the payer has the points for an event. Later events wait in the database meanwhile. */
  private async paid({ pay }: EventPrice): Promise<void> {
    while (!this.over.signal.aborted) {
      try {
        return pay();
      } catch (error) {
        if (!(error instanceof TollgateError) || error.code !== 'RATE_LIMITED') throw error;
        await this.wait(error.details.retryAfterMs as number);
      }
    }
  }

  /** Waits for this time, or until the stream ends. */
  private async wait(ms: number): Promise<void> {
    await wait(ms, undefined, { signal: this.over.signal }).catch(() => undefined);
  }

  private async *results({ price, ...args }: StreamArgs, events: AsyncIterable<unknown>): Results {
    try {
      for await (const event of events) {
        await this.deps.pace.turn();
        await this.paid(price);
        if (this.over.signal.aborted) break;
        const contextValue = this.deps.viewer().later();
        await contextValue.work.turn();
        const execution = (contextValue.execution = new Execution(contextValue.work, price.plan));
        const result = await run({ ...args, rootValue: event, contextValue }, execution);
        price.settle(result.data, execution);
        if (this.over.signal.aborted) break;
        this.waitsSince = performance.now();
        yield result;
        this.waitsSince = undefined;
      }
    } catch (error) {
      this.end(error);
    }
    if (this.reason !== undefined) yield { errors: [asGraphQLError(this.reason)] };
    this.end();
  }
}

const isStream = (events: AsyncIterable<unknown> | ExecutionResult): events is AsyncIterable<unknown> => Symbol.asyncIterator in events;

export function asGraphQLError(error: unknown): GraphQLError {
  if (error instanceof GraphQLError) return error;
  return toGraphQLError(error instanceof TollgateError ? error : failureOf(error));
}

/** True if the error is temporary: the next query of the database may succeed. */
const isTemporary = (error: unknown): boolean => isRetryable(error) || (isUnavailable(error) && !isCutOff(error));
