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
 * A log is dated by the database's time as its tick began to decide, and is seen when the tick has committed: two of them may be seen in the
 * other order, and on several nodes they often are. How late can one be? Between its two exchanges, and a third at most, the database waits 10
 * seconds for a process before it undoes what that has begun (`WAIT_TIMEOUT_SECONDS`, kept by the server, so that a process which was frozen
 * or cut off cannot commit when it wakes). Each exchange has 5 seconds (`TICK_DEADLINE_MS`), and a statement waits 2 for a lock.
 * That is below 40 seconds, and what was logged in the last 45 is looked through again for logs that came late.
 */
export const LOOK_BACK_MS = 45_000;
/** How often all of that is looked through. In between it is the last moments only, where most of those that come late are. */
const LOOK_BACK_EVERY_MS = 5_000;
const MOMENT_MS = 2_000;
/** Logs of that time that a stream remembers; what has more cannot be followed as a whole. */
export const MAX_FOLLOWED_CALLS = 50_000;

/** Calls that are passed by at a time, however few of them the filter lets through: so no statement takes long, however long ago it did. */
export const MAX_PASSED_CALLS = 10_000;

const LIST = 'requestLogged';

/** A log, and the cursor that leads on after all that was told up to it. */
export interface Logged {
  cursor: string;
  requestLog: RequestLog;
}

export interface LogFeedOptions {
  scope: RequestLogScope;
  filter: RequestLogFilter;
  /** The cursor of what was read last; absent: what is logged from now on. */
  after?: string | null | undefined;
}

/**
 * The calls of a scope as they are logged, on whatever node: each that is committed after it was opened, once, mostly in the order of their
 * dates. Whoever comes again with a cursor misses none. Where some came late meanwhile, those of the same moments are told again.
 */
export class LogFeed implements Feed<Logged> {
  private readonly seen = new SeenLogs();
  /** What was asked for; a cursor is one of that alone. */
  private readonly question: string;
  private lookBackAt = performance.now() + LOOK_BACK_EVERY_MS;
  /** How often all was looked through since the newest was met. */
  private quietChecks = 0;
  /** The date of the newest log when all was looked through the last time. */
  private checkedAt: number;

  private constructor(
    private readonly reader: EntityManager,
    private readonly options: LogFeedOptions,
    /** The newest call of the scope that was told or passed by. */
    private newest: LogPlace,
    /** No log from before this comes any more. */
    private since: number,
  ) {
    this.question = questionOf(options);
    this.checkedAt = newest.at;
  }

  /** INVALID_REQUEST for a cursor of another subscription. */
  static async open(database: Database, options: LogFeedOptions): Promise<LogFeed> {
    const { reader } = database;
    if (typeof options.after !== 'string') {
      const at = (await database.now()).getTime();
      const feed = new LogFeed(reader, options, { at, id: '' }, at - LOOK_BACK_MS);
      for (const place of await feed.placesSince(feed.since)) feed.seen.add(place);
      return feed;
    }
    const [list, question, since, at, id, ...counts] = decodeCursor(options.after, ['string', 'string', 'number', 'number', 'string', ...new Array<'number'>(COUNTS).fill('number')]) ?? [];
    if (list !== LIST || question !== questionOf(options)) throw invalid({ path: ['after'], message: 'is not a cursor of this subscription with these arguments' });
    const feed = new LogFeed(reader, options, { at: at as number, id: id as string }, since as number);
    await feed.remember(counts as Counts);
    return feed;
  }

  async next(limit: number): Promise<FeedPage<Logged>> {
    const isThorough = performance.now() >= this.lookBackAt;
    const late = await this.late(limit, isThorough);
    const { fresh, end } = await this.fresh(limit - late.length);
    // All is read: nothing fails from here on, so that what is remembered is what is told
    const events = [...late, ...fresh].map((requestLog) => this.tell(requestLog));
    if (end) this.moveTo(end);
    if (isThorough && late.length < limit) this.lookedBack();
    return { events, more: events.length === limit };
  }

  private tell(requestLog: RequestLog): Logged {
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
    // From the newest of the last time: a server that stood still for a minute has had time since to commit what it was sent before
    this.since = Math.max(this.since, this.checkedAt - LOOK_BACK_MS);
    this.checkedAt = this.newest.at;
    this.seen.forgetBefore(this.since);
  }

  private cursor(): string {
    return encodeCursor([LIST, this.question, this.since, this.newest.at, this.newest.id, ...this.seen.counts(this.newest)]);
  }

  /** What of the next calls is wanted, oldest first, and the last of these calls where that is all of it: the next time begins behind them, wanted or not. */
  private async fresh(limit: number): Promise<{ fresh: RequestLog[]; end?: LogPlace | undefined }> {
    const end = limit > 0 ? await this.endOfNext() : undefined;
    if (!end) return { fresh: [] };
    const fresh = await this.afterNewest(this.query())
      .andWhere('row.createdAt <= :endAt AND (row.createdAt < :endAt OR row.id <= :endId)', { endAt: end.at, endId: end.id })
      .limit(limit)
      .getMany();
    return { fresh, end: fresh.length < limit ? end : undefined };
  }

  /** The last of the next calls of the scope, whatever the filter says of them: read off an index. */
  private async endOfNext(): Promise<LogPlace | undefined> {
    const calls = this.afterNewest(requestLogsOf(this.reader, this.options.scope, {})).select('row.createdAt', 'at').addSelect('row.id', 'id').limit(MAX_PASSED_CALLS);
    const query = this.reader.createQueryBuilder().select('picked.at', 'at').addSelect('picked.id', 'id').from(`(${calls.getQuery()})`, 'picked').setParameters(calls.getParameters());
    const end = await query.orderBy('picked.at', 'DESC').addOrderBy('picked.id', 'DESC').limit(1).getRawOne<RawPlace>();
    return end && { id: end.id, at: Number(end.at) };
  }

  private afterNewest(query: SelectQueryBuilder<RequestLog>): SelectQueryBuilder<RequestLog> {
    const { at, id } = this.newest;
    return query.andWhere('row.createdAt >= :at AND (row.createdAt > :at OR row.id > :id)', { at, id }).orderBy('row.createdAt').addOrderBy('row.id');
  }

  /** What is dated before the newest and has come after it. */
  private async late(limit: number, isThorough: boolean): Promise<RequestLog[]> {
    if (this.quietChecks > LOOK_BACK_MS / LOOK_BACK_EVERY_MS) return []; // by now all have come
    const places = await this.placesSince(isThorough ? this.since : Math.max(this.since, this.newest.at - MOMENT_MS));
    const ids = places.filter((place) => !this.seen.has(place)).slice(0, limit).map(({ id }) => id);
    if (ids.length === 0) return [];
    return this.query().andWhere('row.id IN (:...ids)', { ids }).orderBy('row.createdAt').addOrderBy('row.id').getMany();
  }

  /** Of the logs that are there by now, remembers each part of which there are as many as were told. */
  private async remember(told: Counts): Promise<void> {
    const places = await this.placesSince(this.since);
    const there = new Array<number>(COUNTS).fill(0);
    for (const place of places) there[partOf(this.newest, place)] = (there[partOf(this.newest, place)] ?? 0) + 1;
    for (const place of places) {
      const part = partOf(this.newest, place);
      if ((there[part] as number) <= (told[part] as number)) this.seen.add(place);
    }
  }

  /** What is wanted up to the newest, from a time on. */
  private async placesSince(since: number): Promise<LogPlace[]> {
    const { at, id } = this.newest;
    const rows = await this.query()
      .select('row.id', 'id')
      .addSelect('row.createdAt', 'at')
      .andWhere('row.createdAt >= :since AND row.createdAt <= :at AND (row.createdAt < :at OR row.id <= :id)', { since, at, id })
      .limit(MAX_FOLLOWED_CALLS + 1)
      .getRawMany<RawPlace>();
    if (rows.length > MAX_FOLLOWED_CALLS) throw invalid({ path: ['filter'], message: 'lets through more calls than can be followed; name keys, projects or outcomes' });
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

/** What was asked for, as a short text: a cursor counts what one filter lets through. */
function questionOf({ scope, filter }: LogFeedOptions): string {
  const given = Object.entries({ ...scope, ...filter }).filter(([, value]) => value !== undefined && value !== null);
  const text = JSON.stringify(given.sort(([one], [other]) => (one < other ? -1 : 1)));
  return createHash('sha256').update(text).digest('base64url').slice(0, 12);
}
