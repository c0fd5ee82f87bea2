import type { EntityManager } from 'typeorm';
import type { Feed, FeedPage } from '../lib/feed';
import { AuditSeal } from './seal.entities';
import { readTrail, type SealedEvent } from './trail';
import { positionOf, trailCursor } from './trail.cursor';

/** A sealed event in the form that the feed sends, and the cursor to continue after it. */
export interface Sealed<T> {
  cursor: string;
  of: T;
}

export interface TrailFeedOptions<T> {
  /** One chain. Default: all chains. */
  chainId?: string | undefined;
  /** The cursor of the last event that was read. If absent, the feed begins with the events sealed from now on. */
  after?: string | null | undefined;
  /** Returns what to send for a page of events, by event id. The page may be empty. An event that is not in the map is skipped. */
  present(events: SealedEvent[]): Promise<Map<string, T>>;
}

/**
 * Events in the order of their seals, from a position on. A feed that continues from a cursor, on any node, misses no event and repeats
 * none.
 */
export class TrailFeed<T> implements Feed<Sealed<T>> {
  private constructor(
    private readonly reader: EntityManager,
    private readonly options: TrailFeedOptions<T>,
    private position: number,
  ) {}

  /** Opens a feed. Throws INVALID_REQUEST if the cursor is not in the trail. */
  static async open<T>(reader: EntityManager, options: TrailFeedOptions<T>): Promise<TrailFeed<T>> {
    return new TrailFeed(reader, options, await startOf(reader, options.after));
  }

  async next(limit: number): Promise<FeedPage<Sealed<T>>> {
    const { chainId, present } = this.options;
    const page = await readTrail(this.reader, { chainId, after: this.position, limit });
    const events = page.filter((entry) => !entry.missing);
    const shown = await present(events);
    this.position = page.at(-1)?.position ?? this.position;
    const sent = events.filter(({ id }) => shown.has(id)).map((event) => ({ cursor: trailCursor(event), of: shown.get(event.id) as T }));
    return { events: sent, more: page.length === limit };
  }
}

async function startOf(reader: EntityManager, after: string | null | undefined): Promise<number> {
  if (typeof after === 'string') return positionOf(after, (request) => readTrail(reader, request));
  return Number((await reader.maximum(AuditSeal, 'position')) ?? 0);
}
