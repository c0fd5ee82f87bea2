import type { EntityManager } from 'typeorm';
import type { Feed, FeedPage } from '../lib/feed';
import { AuditSeal } from './seal.entities';
import { readTrail, type SealedEvent } from './trail';
import { positionOf, trailCursor } from './trail.cursor';

/** Something that was sealed, and the cursor that leads on after it. */
export interface Sealed<T> {
  cursor: string;
  of: T;
}

export interface TrailFeedOptions<T> {
  /** One chain; all of them where absent. */
  chainId?: string | undefined;
  /** The cursor of what was read last; absent: what is sealed from now on. */
  after?: string | null | undefined;
  /** What there is to send of a page of events, which may be empty, by their ids; what is absent is passed over. */
  present(events: SealedEvent[]): Promise<Map<string, T>>;
}

/** Events in the order of their seals, from a place on: whoever comes again with a cursor misses nothing and meets nothing twice, on whatever node. */
export class TrailFeed<T> implements Feed<Sealed<T>> {
  private constructor(
    private readonly reader: EntityManager,
    private readonly options: TrailFeedOptions<T>,
    private position: number,
  ) {}

  /** INVALID_REQUEST for a cursor that is no place in the trail. */
  static async open<T>(reader: EntityManager, options: TrailFeedOptions<T>): Promise<TrailFeed<T>> {
    return new TrailFeed(reader, options, await startOf(reader, options.after));
  }

  async next(limit: number): Promise<FeedPage<Sealed<T>>> {
    const { chainId, present } = this.options;
    const page = await readTrail(this.reader, { chainId, after: this.position, limit });
    const events = page.filter((entry) => !entry.missing);
    const shown = await present(events);
    this.position = page.at(-1)?.position ?? this.position;
    return { events: events.flatMap((event) => (shown.has(event.id) ? [{ cursor: trailCursor(event), of: shown.get(event.id) as T }] : [])), more: page.length === limit };
  }
}

async function startOf(reader: EntityManager, after: string | null | undefined): Promise<number> {
  if (typeof after === 'string') return positionOf(after, (request) => readTrail(reader, request));
  return Number((await reader.maximum(AuditSeal, 'position')) ?? 0);
}
