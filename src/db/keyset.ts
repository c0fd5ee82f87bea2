import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { invalid, type Issue } from '../errors';
import { decodeCursor, encodeCursor, type PagePlan, type Place } from '../lib/page';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from '../lib/page-sizes';

export interface PageRequest {
  first?: number | null | undefined;
  after?: string | null | undefined;
  last?: number | null | undefined;
  before?: string | null | undefined;
}

export type Direction = 'ASC' | 'DESC';

/** The order of a list: two columns that are unique together. An index must end with them. */
export interface KeysetOrder<T> {
  columns: [keyof T & string, keyof T & string];
  types: ['string' | 'number', 'string' | 'number'];
  direction: Direction;
  /** Added to its cursors, so that they are not valid in another order. Absent for the default order of the list. */
  name?: string;
}

/** The default order of lists. */
export const NEWEST_FIRST: KeysetOrder<{ createdAt: Date; id: string }> = {
  columns: ['createdAt', 'id'],
  types: ['number', 'string'],
  direction: 'DESC',
};

/** The argument `orderBy` of a list. */
export interface OrderBy<F> {
  field: F;
  direction: Direction;
}

/** The order of a list that can be read by age or by name. Default: newest first. */
export function byAgeOrName<T extends { createdAt: Date; id: string; name: string }>(
  orderBy: OrderBy<'CREATED_AT' | 'NAME'> | null | undefined,
): KeysetOrder<T> {
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  if (field === 'NAME') return { columns: ['name', 'id'], types: ['string', 'string'], direction, name: `NAME ${direction}` };
  return direction === 'DESC' ? NEWEST_FIRST : { ...NEWEST_FIRST, direction, name: `CREATED_AT ${direction}` };
}

/** Reads the arguments of a page. Throws INVALID_REQUEST for an invalid size or cursor. */
export function planOf<T>(list: string, order: KeysetOrder<T>, { first, after, last, before }: PageRequest): PagePlan {
  const issues: Issue[] = [];
  const size = (name: string, value: number | null | undefined) => {
    if (typeof value === 'number' && (value < 1 || value > MAX_PAGE_SIZE))
      issues.push({ path: [name], message: `must be 1 to ${MAX_PAGE_SIZE}` });
    return value ?? undefined;
  };
  const place = (name: string, cursor: string | null | undefined) => {
    if (cursor === null || cursor === undefined) return undefined;
    const found = decodeCursor(cursor, ['string', ...order.types]);
    if (found?.[0] !== tagOf(list, order)) issues.push({ path: [name], message: 'is not a cursor of this list in this order' });
    return found?.slice(1);
  };
  const sizes = { first: size('first', first), last: size('last', last) };
  const places = { after: place('after', after), before: place('before', before) };
  if (sizes.first !== undefined && sizes.last !== undefined) issues.push({ path: ['last'], message: 'cannot be together with first' });
  if (issues.length > 0) throw invalid(...issues);
  const isBackwards = sizes.last !== undefined || (sizes.first === undefined && places.before !== undefined && places.after === undefined);
  return { size: sizes.first ?? sizes.last ?? DEFAULT_PAGE_SIZE, isBackwards, ...places };
}

const tagOf = <T>(list: string, { name }: KeysetOrder<T>): string => (name === undefined ? list : `${list} ${name}`);

/** Makes the cursor of a place in a list. */
export const cursorAt = <T>(list: string, order: KeysetOrder<T>, place: Place): string => encodeCursor([tagOf(list, order), ...place]);

/** The place of a row in an order. */
export function placeOf<T>(row: T, order: KeysetOrder<T>): Place {
  return order.columns.map((column) => {
    const value = row[column];
    return value instanceof Date ? value.getTime() : (value as string | number);
  });
}

/** The direction in which a page's rows are read. */
export const readingDirection = <T>({ direction }: KeysetOrder<T>, { isBackwards }: PagePlan): Direction =>
  (direction === 'DESC') === isBackwards ? 'ASC' : 'DESC';

/**
 * Selects the rows after a place in a direction, and the row at that place if `inclusive`. Does nothing without a place. `name` begins the
 * names of the parameters.
 */
export function from<T extends ObjectLiteral>(
  query: SelectQueryBuilder<T>,
  order: KeysetOrder<T>,
  direction: Direction,
  place: Place | undefined,
  name: string,
  inclusive = false,
): void {
  if (!place) return;
  const [major, minor] = order.columns;
  const beyond = direction === 'DESC' ? '<' : '>';
  // The first condition limits the index range. MariaDB does not use the index for a row-value comparison, and would scan.
  query.andWhere(
    `row.${major} ${beyond}= :${name}Major AND ` +
      `(row.${major} ${beyond} :${name}Major OR row.${minor} ${beyond}${inclusive ? '=' : ''} :${name}Minor)`,
    {
      [`${name}Major`]: place[0],
      [`${name}Minor`]: place[1],
    },
  );
}

export const opposite = (direction: Direction): Direction => (direction === 'DESC' ? 'ASC' : 'DESC');

/** Selects only the rows between the two cursors of a plan, without the rows at the cursors. */
export function between<T extends ObjectLiteral>(
  query: SelectQueryBuilder<T>,
  order: KeysetOrder<T>,
  { after, before }: Pick<PagePlan, 'after' | 'before'>,
): void {
  from(query, order, order.direction, after, 'after');
  from(query, order, opposite(order.direction), before, 'before');
}
