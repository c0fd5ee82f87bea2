import { createHash } from 'node:crypto';
import type { EntityManager, SelectQueryBuilder } from 'typeorm';
import type { Database } from '../db/database';
import { invalid } from '../errors';
import type { Feed, FeedPage } from '../lib/feed';
import { decodeCursor, encodeCursor } from '../lib/page';
import { RequestLog } from './request-log.entity';
import { requestLogsOf, type RequestLogFilter, type RequestLogScope } from './request-log.queries';
import { COUNTS, SeenLogs, comesAfter, partOf, type Counts, type LogPlace } from './seen-logs';

/**
 * The time of a log is the database's time when its tick began to decide. The log becomes visible when the tick commits. So logs can
 * become visible in another order than their times. With several nodes this happens often. The longest possible delay is below 40 seconds:
 * - The database waits 10 seconds for a process between exchanges, of which there are at most three. Then it rolls the transaction back.
 *   The server enforces this (`WAIT_TIMEOUT_SECONDS`), so a process that was frozen or cut off cannot commit when it wakes.
 * - Each exchange has 5 seconds (`TICK_DEADLINE_MS`), and a statement waits 2 seconds for a lock.
 * Therefore a feed searches the last 45 seconds again for late logs.
 */
export const LOOK_BACK_MS = 45_000;
/**
 * Interval at which a feed searches the whole of LOOK_BACK_MS. In between it searches only the last MOMENT_MS, where most late logs are.
 */
const LOOK_BACK_EVERY_MS = 5_000;
const MOMENT_MS = 2_000;
/** The most logs of LOOK_BACK_MS that a feed remembers. A filter that matches more is refused. */
export const MAX_FOLLOWED_CALLS = 50_000;

/** The most calls that one step reads, matching or not. So no statement takes long, even if the filter matches few calls. */
export const MAX_PASSED_CALLS = 10_000;

const LIST = 'requestLogged';

/** A log, and the cursor to continue after this log and everything sent before it. */
export interface Logged {
  cursor: string;
  requestLog: RequestLog;
}

export interface LogFeedOptions {
  scope: RequestLogScope;
  filter: RequestLogFilter;
  /** The cursor of the last log that was read. If absent, the feed begins with the logs from now on. */
  after?: string | null | undefined;
}

/**
 * The calls of a scope as they are logged, on any node. Sends each call that is committed after the feed was opened, exactly once and
 * mostly in order of time. A feed that continues from a cursor misses no call. It may repeat calls: if late calls were committed while the
 * feed was closed, all calls of the same part (see `seen-logs.ts`) are sent again.
 */
export class LogFeed implements Feed<Logged> {
  private readonly seen = new SeenLogs();
  /** A hash of the scope and filter. A cursor is valid only for the same scope and filter. */
  private readonly queryHash: string;
  private lookBackAt = performance.now() + LOOK_BACK_EVERY_MS;
  /** Number of full searches since `newest` last changed. */
  private quietChecks = 0;
  /** Time of the newest log at the last full search, in milliseconds since 1970. */
  private checkedAt: number;

  private constructor(
    private readonly reader: EntityManager,
    private readonly options: LogFeedOptions,
    /** The newest call of the scope that was sent, or skipped because of the filter. */
    private newest: LogPlace,
    /** No new log can have a time before this, in milliseconds since 1970. */
    private since: number,
  ) {
    this.queryHash = queryHashOf(options);
    this.checkedAt = newest.at;
  }

  /** Opens a feed. Throws INVALID_REQUEST for a cursor of another subscription. */
  static async open(database: Database, options: LogFeedOptions): Promise<LogFeed> {
    const { reader } = database;
    if (typeof options.after !== 'string') {
      const at = (await database.now()).getTime();
      const feed = new LogFeed(reader, options, { at, id: '' }, at - LOOK_BACK_MS);
      for (const place of await feed.placesSince(feed.since)) feed.seen.add(place);
      return feed;
    }
    const [list, queryHash, since, at, id, ...counts] =
      decodeCursor(options.after, ['string', 'string', 'number', 'number', 'string', ...new Array<'number'>(COUNTS).fill('number')]) ?? [];
    if (list !== LIST || queryHash !== queryHashOf(options))
      throw invalid({ path: ['after'], message: 'is not a cursor of this subscription with these arguments' });
    const feed = new LogFeed(reader, options, { at: at as number, id: id as string }, since as number);
    await feed.remember(counts as Counts);
    return feed;
  }

  async next(limit: number): Promise<FeedPage<Logged>> {
    const isThorough = performance.now() >= this.lookBackAt;
    const late = await this.late(limit, isThorough);
    const { fresh, end } = await this.fresh(limit - late.length);
    // The code below cannot fail, so the feed remembers exactly the events that it sends.
    const events = [...late, ...fresh].map((requestLog) => this.send(requestLog));
    if (end) this.moveTo(end);
    if (isThorough && late.length < limit) this.lookedBack();
    return { events, more: events.length === limit };
  }

  private send(requestLog: RequestLog): Logged {
    const place = placeOf(requestLog);
    this.seen.add(place);
    if (comesAfter(place, this.newest)) this.moveTo(place);
    return { cursor: this.cursor(), requestLog };
  }

  private moveTo(place: LogPlace): void {
    this.newest = place;
    this.quietChecks = 0;
  }

  private lookedBack(): void {
    this.lookBackAt = performance.now() + LOOK_BACK_EVERY_MS;
    this.quietChecks += 1;
    // Uses the newest log of the last search. So a server that was paused for a minute has had time to commit the calls that it received
    // before.
    this.since = Math.max(this.since, this.checkedAt - LOOK_BACK_MS);
    this.checkedAt = this.newest.at;
    this.seen.forgetBefore(this.since);
  }

  private cursor(): string {
    return encodeCursor([LIST, this.queryHash, this.since, this.newest.at, this.newest.id, ...this.seen.counts(this.newest)]);
  }

  /**
   * The matching calls among the next calls of the scope, oldest first. `end` is the last of the next calls, if all their matches are
   * returned: the next read begins after it.
   */
  private async fresh(limit: number): Promise<{ fresh: RequestLog[]; end?: LogPlace | undefined }> {
    const end = limit > 0 ? await this.endOfNext() : undefined;
    if (!end) return { fresh: [] };
    const fresh = await this.afterNewest(this.query())
      .andWhere('row.createdAt <= :endAt AND (row.createdAt < :endAt OR row.id <= :endId)', { endAt: end.at, endId: end.id })
      .limit(limit)
      .getMany();
    return { fresh, end: fresh.length < limit ? end : undefined };
  }

  /** The last of the next MAX_PASSED_CALLS calls of the scope, matching or not. Reads only an index. */
  private async endOfNext(): Promise<LogPlace | undefined> {
    const calls = this.afterNewest(requestLogsOf(this.reader, this.options.scope, {}))
      .select('row.createdAt', 'at')
      .addSelect('row.id', 'id')
      .limit(MAX_PASSED_CALLS);
    const query = this.reader
      .createQueryBuilder()
      .select('picked.at', 'at')
      .addSelect('picked.id', 'id')
      .from(`(${calls.getQuery()})`, 'picked')
      .setParameters(calls.getParameters());
    const end = await query.orderBy('picked.at', 'DESC').addOrderBy('picked.id', 'DESC').limit(1).getRawOne<RawPlace>();
    return end && { id: end.id, at: Number(end.at) };
  }

  private afterNewest(query: SelectQueryBuilder<RequestLog>): SelectQueryBuilder<RequestLog> {
    const { at, id } = this.newest;
    return query
      .andWhere('row.createdAt >= :at AND (row.createdAt > :at OR row.id > :id)', { at, id })
      .orderBy('row.createdAt')
      .addOrderBy('row.id');
  }

  /** The calls with a time before `newest` that became visible after it. */
  private async late(limit: number, isThorough: boolean): Promise<RequestLog[]> {
    if (this.quietChecks > LOOK_BACK_MS / LOOK_BACK_EVERY_MS) return []; // all late calls have become visible by now
    const places = await this.placesSince(isThorough ? this.since : Math.max(this.since, this.newest.at - MOMENT_MS));
    const ids = places.filter((place) => !this.seen.has(place)).slice(0, limit).map(({ id }) => id);
    if (ids.length === 0) return [];
    return this.query().andWhere('row.id IN (:...ids)', { ids }).orderBy('row.createdAt').addOrderBy('row.id').getMany();
  }

  /**
   * Marks logs as seen, part by part. `sent` has the number of logs that were sent of each part. If a part has no more logs now, none came
   * late, so all of its logs were sent.
   */
  private async remember(sent: Counts): Promise<void> {
    const places = await this.placesSince(this.since);
    const there = new Array<number>(COUNTS).fill(0);
    for (const place of places) there[partOf(this.newest, place)] = (there[partOf(this.newest, place)] ?? 0) + 1;
    for (const place of places) {
      const part = partOf(this.newest, place);
      if ((there[part] as number) <= (sent[part] as number)) this.seen.add(place);
    }
  }

  /** The matching calls from `since` up to `newest`. Throws INVALID_REQUEST if there are more than MAX_FOLLOWED_CALLS. */
  private async placesSince(since: number): Promise<LogPlace[]> {
    const { at, id } = this.newest;
    const rows = await this.query()
      .select('row.id', 'id')
      .addSelect('row.createdAt', 'at')
      .andWhere('row.createdAt >= :since AND row.createdAt <= :at AND (row.createdAt < :at OR row.id <= :id)', { since, at, id })
      .limit(MAX_FOLLOWED_CALLS + 1)
      .getRawMany<RawPlace>();
    if (rows.length > MAX_FOLLOWED_CALLS)
      throw invalid({ path: ['filter'], message: 'matches more calls than can be followed; name keys, projects or outcomes' });
    return rows.map((row) => ({ id: row.id, at: Number(row.at) }));
  }

  private query(): SelectQueryBuilder<RequestLog> {
    return requestLogsOf(this.reader, this.options.scope, this.options.filter);
  }
}

interface RawPlace {
  id: string;
  at: string | number;
}

const placeOf = ({ id, createdAt }: RequestLog): LogPlace => ({ id, at: createdAt.getTime() });

/** A short hash of the scope and filter. A cursor holds counts of the calls that one filter matches. */
function queryHashOf({ scope, filter }: LogFeedOptions): string {
  const given = Object.entries({ ...scope, ...filter }).filter(([, value]) => value !== undefined && value !== null);
  const text = JSON.stringify(given.sort(([one], [other]) => (one < other ? -1 : 1)));
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}
