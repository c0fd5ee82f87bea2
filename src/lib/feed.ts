/** What there is to send of a feed at a time. */
export interface FeedPage<T> {
  /** Oldest first. */
  events: T[];
  /** Whether to ask again at once, for there may be more already. */
  more: boolean;
}

/** What a stream sends, read as fast as it is taken. */
export interface Feed<T> {
  /** At most `limit` events that are new. Never asked twice at once; where it rejects, the next time begins where this one did. */
  next(limit: number): Promise<FeedPage<T>>;
}
