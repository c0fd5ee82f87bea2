import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';

/** Rows of a list that one statement of an export looks at, whether a filter lets them through or not. */
export const WINDOW_ROWS = 100;

/** Where a row lies in a list that is ordered by age: the oldest first, those of one millisecond by another column. */
export interface PlaceByAge {
  createdAtMs: number;
  minor: string | number;
}

export interface Windows<T extends ObjectLiteral> {
  /** The whole list of all times, as an index has it: (..., createdAt, minor). The alias is `row`. */
  list(): SelectQueryBuilder<T>;
  /** What of it is wanted, of all times; the same alias. */
  wanted(): SelectQueryBuilder<T>;
  minor: keyof T & string;
  /** Reads on after this place. */
  after?: PlaceByAge | undefined;
  /** Only rows of this time or after it. */
  from?: Date | undefined;
  /** Only rows of before this time. */
  to: Date;
}

/**
 * What is wanted of a list, oldest first, window by window: each is at most WINDOW_ROWS of the list, and what of them is wanted, which may be
 * none. So no statement takes long, however long the list is and however little of it is wanted.
 */
export async function* windowsOf<T extends ObjectLiteral>({ list, wanted, minor, after, from, to }: Windows<T>): AsyncGenerator<T[]> {
  let place = after && after.createdAtMs >= (from?.getTime() ?? -Infinity) ? after : undefined;
  // One bound at either end and no more: of two, SQLite takes the first for its range, and would look at all that lies between them
  const bounded = (query: SelectQueryBuilder<T>, end?: PlaceByAge): SelectQueryBuilder<T> => {
    // The first half bounds the index range; a row-value comparison would read the same and MariaDB would scan for it.
    if (place) query.andWhere(`row.createdAt >= :fromMs AND (row.createdAt > :fromMs OR row.${minor} > :fromMinor)`, { fromMs: place.createdAtMs, fromMinor: place.minor });
    else if (from) query.andWhere('row.createdAt >= :fromMs', { fromMs: from.getTime() });
    if (end) query.andWhere(`row.createdAt <= :toMs AND (row.createdAt < :toMs OR row.${minor} <= :toMinor)`, { toMs: end.createdAtMs, toMinor: end.minor });
    else query.andWhere('row.createdAt < :toMs', { toMs: to.getTime() });
    return query.orderBy('row.createdAt').addOrderBy(`row.${minor}`);
  };
  for (;;) {
    const last = await bounded(list()).select('row.createdAt', 'createdAtMs').addSelect(`row.${minor}`, 'minor').offset(WINDOW_ROWS - 1).limit(1).getRawOne<PlaceByAge>();
    const end = last && { createdAtMs: Number(last.createdAtMs), minor: last.minor };
    yield await bounded(wanted(), end).limit(WINDOW_ROWS).getMany();
    if (!end) return;
    place = end;
  }
}
