import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';

/** The number of rows that one statement of an export reads, including those that its filter leaves out. */
export const WINDOW_ROWS = 100;

/** The place of a row in a list that has the oldest row first. `minor` orders rows of the same millisecond. */
export interface PlaceByAge {
  createdAtMs: number;
  minor: string | number;
}

export interface Windows<T extends ObjectLiteral> {
  /** A query for the whole list, without time limits. An index must have its order: (..., createdAt, minor). The alias is `row`. */
  list(): SelectQueryBuilder<T>;
  /** A query for the wanted rows of the list, without time limits. The alias is `row`. */
  wanted(): SelectQueryBuilder<T>;
  minor: keyof T & string;
  /** Continues after this place. */
  after?: PlaceByAge | undefined;
  /** Only rows at this time or later. */
  from?: Date | undefined;
  /** Only rows before this time. */
  to: Date;
}

/**
 * Reads the wanted rows of a list in windows, oldest first. A window covers at most WINDOW_ROWS rows of the list and yields the wanted
 * ones, possibly none. So no statement takes long, even if the list is long and few rows are wanted.
 */
export async function* windowsOf<T extends ObjectLiteral>({ list, wanted, minor, after, from, to }: Windows<T>): AsyncGenerator<T[]> {
  let place = after && after.createdAtMs >= (from?.getTime() ?? -Infinity) ? after : undefined;
  // Adds only one lower and one upper bound. With two lower bounds, SQLite would use the first for its index range and read all rows
  // between the two
  const bounded = (query: SelectQueryBuilder<T>, end?: PlaceByAge): SelectQueryBuilder<T> => {
    // The first condition limits the index range. MariaDB does not use the index for a row-value comparison, and would scan.
    if (place)
      query.andWhere(`row.createdAt >= :fromMs AND (row.createdAt > :fromMs OR row.${minor} > :fromMinor)`, {
        fromMs: place.createdAtMs,
        fromMinor: place.minor,
      });
    else if (from) query.andWhere('row.createdAt >= :fromMs', { fromMs: from.getTime() });
    if (end)
      query.andWhere(`row.createdAt <= :toMs AND (row.createdAt < :toMs OR row.${minor} <= :toMinor)`, {
        toMs: end.createdAtMs,
        toMinor: end.minor,
      });
    else query.andWhere('row.createdAt < :toMs', { toMs: to.getTime() });
    return query.orderBy('row.createdAt').addOrderBy(`row.${minor}`);
  };
  for (;;) {
    const last = await bounded(list())
      .select('row.createdAt', 'createdAtMs')
      .addSelect(`row.${minor}`, 'minor')
      .offset(WINDOW_ROWS - 1)
      .limit(1)
      .getRawOne<PlaceByAge>();
    const end = last && { createdAtMs: Number(last.createdAtMs), minor: last.minor };
    yield await bounded(wanted(), end).limit(WINDOW_ROWS).getMany();
    if (!end) return;
    place = end;
  }
}
