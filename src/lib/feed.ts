/** The events of a feed that are ready to send. */
export interface FeedPage<T> {
  /** Oldest first. */
  events: T[];
  /** Whether to read again at once, because there may be more events. */
  more: boolean;
}

/** A source of events for a stream. The stream reads it as fast as its client receives. */
export interface Feed<T> {
  /** Reads at most `limit` new events. Calls never overlap. If a call rejects, the next call begins at the same place. */
  next(limit: number): Promise<FeedPage<T>>;
}
