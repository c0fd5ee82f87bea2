import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { invalid, type Issue } from '../errors';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, decodeCursor, toConnection, type Place } from '../lib/page';
import type { Connection } from '../lib/graphql-types';

export interface PageRequest {
  first?: number | null | undefined;
  after?: string | null | undefined;
}

/** How a list is ordered: two columns that together are unique, and an index that has them last. */
export interface KeysetOrder<T> {
  columns: [keyof T & string, keyof T & string];
  types: ['string' | 'number', 'string' | 'number'];
  direction: 'ASC' | 'DESC';
}

/** The order of every list of things that come one after another. */
export const NEWEST_FIRST: KeysetOrder<{ createdAt: Date; id: string }> = {
  columns: ['createdAt', 'id'],
  types: ['number', 'string'],
  direction: 'DESC',
};

/**
 * One page of `query`, whose alias is `row`. Keyset pagination: the page begins after the cursor's place, wherever that is by now,
 * so rows that arrive meanwhile neither shift nor repeat one. INVALID_REQUEST for a size or cursor that cannot be.
 */
export async function keysetPage<T extends ObjectLiteral>(
  query: SelectQueryBuilder<T>,
  order: KeysetOrder<T>,
  { first, after }: PageRequest,
): Promise<Connection<T>> {
  const size = first ?? DEFAULT_PAGE_SIZE;
  const isFirstPage = after === null || after === undefined;
  const list = query.expressionMap.mainAlias?.metadata.tableName ?? '';
  const place = isFirstPage ? undefined : decodeCursor(after, ['string', ...order.types]);
  const issues: Issue[] = [];
  if (size < 1 || size > MAX_PAGE_SIZE) issues.push({ path: ['first'], message: `must be 1 to ${MAX_PAGE_SIZE}` });
  if (!isFirstPage && place?.[0] !== list) issues.push({ path: ['after'], message: 'is not a cursor of this list' });
  if (issues.length > 0) throw invalid(...issues);
  const [major, minor] = order.columns;
  if (place) {
    const beyond = order.direction === 'DESC' ? '<' : '>';
    // The first half bounds the index range; a row-value comparison would read the same and MariaDB would scan for it.
    query.andWhere(`row.${major} ${beyond}= :major AND (row.${major} ${beyond} :major OR row.${minor} ${beyond} :minor)`, {
      major: place[1],
      minor: place[2],
    });
  }
  query.orderBy(`row.${major}`, order.direction).addOrderBy(`row.${minor}`, order.direction).limit(size + 1);
  return toConnection(await query.getMany(), size, isFirstPage, (row) => [list, ...placeOf(row, order)]);
}

function placeOf<T>(row: T, order: KeysetOrder<T>): Place {
  return order.columns.map((column) => {
    const value = row[column];
    return value instanceof Date ? value.getTime() : (value as string | number);
  });
}
