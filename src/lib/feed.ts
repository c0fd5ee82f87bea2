/** What a stream sends, read as fast as it is taken. */
export interface Feed<T> {
  /** What there is to send now, at most `limit`, oldest first; nothing where there is nothing new. Never asked twice at once. */
  next(limit: number): Promise<T[]>;
}
