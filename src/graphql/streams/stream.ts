import { setTimeout as wait } from 'node:timers/promises';
import { GraphQLError, createSourceEventStream, type ExecutionResult } from 'graphql';
import { isCutOff, isRetryable, isUnavailable } from '../../db/failures';
import { TollgateError } from '../../errors';
import type { Feed, FeedPage } from '../../lib/feed';
import { run } from '../bounded-execution';
import type { GraphQLContext, OpenStream, Subscribed } from '../context';
import { failureOf, toGraphQLError } from '../errors';
import type { EventPrice, StreamArgs } from './document';
import { Execution } from '../work';
import type { Pace } from './pace';

/** How often a stream looks for more. */
export const STREAM_POLL_MS = 500;
/** What is read for a stream at a time. More is read when its reader has taken these. */
export const STREAM_PAGE = 200;

export type Results = AsyncGenerator<ExecutionResult, void, void>;

export interface StreamDeps {
  pace: Pace;
  /** Whoever asks, as they stand now. */
  viewer(): GraphQLContext;
  /** Told once, when it has ended. */
  ended(stream: Stream): void;
}

/** One subscription that is open: reads on as fast as its results are taken, and keeps no more than a page. */
export class Stream implements OpenStream {
  /** Since when a result waits to be taken. */
  waitsSince: number | undefined;
  private readonly over = new AbortController();
  private allow: Subscribed<unknown>['allow'] | undefined;
  private reason: unknown;

  constructor(private readonly deps: StreamDeps) {}

  /** Its results from the beginning, or why it cannot begin. */
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

  /** A generator that waits for its next event would return only after that, and nobody knows when it comes. */
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

  /** Ends it where whoever asks may not have it any more. Rejects where the database cannot say. */
  async checkRight(viewer: GraphQLContext): Promise<void> {
    try {
      await this.allow?.(viewer.later());
    } catch (error) {
      if (passes(error)) throw error;
      this.end(error);
    }
  }

  /** Ends it after the result that is on its way, where there is a reason with that as its last one. */
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

  /** What is new. A feed that the database did not answer has kept its place: nothing is new, and a connection that must end for that ends by itself. */
  private async read<T>(feed: Feed<T>): Promise<FeedPage<T>> {
    try {
      return await feed.next(STREAM_PAGE);
    } catch (error) {
      if (passes(error)) return { events: [], more: false };
      throw error;
    }
  }

  /** Waits until an event can be paid for, as the next ones wait in the database. */
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

  /** Waits, and no longer than it is open. */
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

/** Whether the database may be able to say by the next time that it is asked. */
const passes = (error: unknown): boolean => isRetryable(error) || (isUnavailable(error) && !isCutOff(error));
