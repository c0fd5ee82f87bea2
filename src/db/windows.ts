import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';

/** Rows of a list that one statement of an export looks at, whether a filter lets them through or not. */
export const WINDOW_ROWS = 100;

/** Where a row lies in a list that is ordered by age: the oldest first, those of one millisecond by another column. */
export interface PlaceByAge {
  createdAtMs: number;
  minor: string | number;
}

export interface Windows<T extends ObjectLiteral> {
  /** The whole list, as an index has it: (..., createdAt, minor). The alias is `row`. */
  list(): SelectQueryBuilder<T>;
  /** What of it is wanted; the same alias. */
  wanted(): SelectQueryBuilder<T>;
  minor: keyof T & string;
  /** Reads on after this place. */
  after?: PlaceByAge | undefined;
  /** Rows that are newer are none of it. */
  until: Date;
}

/**
 * What is wanted of a list, oldest first, window by window: each is at most WINDOW_ROWS of the list, and what of them is wanted, which may be
 * none. So no statement takes long, however long the list is and however little of it is wanted.
 */
export async function* windowsOf<T extends ObjectLiteral>({ list, wanted, minor, after, until }: Windows<T>): AsyncGenerator<T[]> {
  let place = after;
  const beyond = (query: SelectQueryBuilder<T>): SelectQueryBuilder<T> => {
    query.andWhere('row.createdAt <= :until', { until: until.getTime() });
    // The first half bounds the index range; a row-value comparison would read the same and MariaDB would scan for it.
    if (place) query.andWhere(`row.createdAt >= :fromMs AND (row.createdAt > :fromMs OR row.${minor} > :fromMinor)`, { fromMs: place.createdAtMs, fromMinor: place.minor });
    return query.orderBy('row.createdAt').addOrderBy(`row.${minor}`);
  };
  for (;;) {
    const last = await beyond(list()).select('row.createdAt', 'createdAtMs').addSelect(`row.${minor}`, 'minor').offset(WINDOW_ROWS - 1).limit(1).getRawOne<PlaceByAge>();
    const query = beyond(wanted()).limit(WINDOW_ROWS);
    const end = last && { createdAtMs: Number(last.createdAtMs), minor: last.minor };
    if (end) query.andWhere(`row.createdAt <= :toMs AND (row.createdAt < :toMs OR row.${minor} <= :toMinor)`, { toMs: end.createdAtMs, toMinor: end.minor });
    yield await query.getMany();
    if (!end) return;
    place = end;
  }
}
