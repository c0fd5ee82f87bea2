import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { invalid, type Issue } from '../errors';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, decodeCursor, encodeCursor, type PagePlan, type Place } from '../lib/page';

export interface PageRequest {
  first?: number | null | undefined;
  after?: string | null | undefined;
  last?: number | null | undefined;
  before?: string | null | undefined;
}

export type Direction = 'ASC' | 'DESC';

/** How a list is ordered: two columns that together are unique, and an index that has them last. */
export interface KeysetOrder<T> {
  columns: [keyof T & string, keyof T & string];
  types: ['string' | 'number', 'string' | 'number'];
  direction: Direction;
  /** What its cursors name besides the list, so that they fit no other order; absent for the order that the list has by itself. */
  name?: string;
}

/** The order of every list of things that come one after another. */
export const NEWEST_FIRST: KeysetOrder<{ createdAt: Date; id: string }> = {
  columns: ['createdAt', 'id'],
  types: ['number', 'string'],
  direction: 'DESC',
};

/** What a list's argument `orderBy` says. */
export interface OrderBy<F> {
  field: F;
  direction: Direction;
}

/** The orders of lists that can be read by age and by name; newest first where nothing is said. */
export function byAgeOrName<T extends { createdAt: Date; id: string; name: string }>(orderBy: OrderBy<'CREATED_AT' | 'NAME'> | null | undefined): KeysetOrder<T> {
  const { field, direction } = orderBy ?? { field: 'CREATED_AT', direction: 'DESC' };
  if (field === 'NAME') return { columns: ['name', 'id'], types: ['string', 'string'], direction, name: `NAME ${direction}` };
  return direction === 'DESC' ? NEWEST_FIRST : { ...NEWEST_FIRST, direction, name: `CREATED_AT ${direction}` };
}

/** What a page is to be. INVALID_REQUEST for a size or cursor that cannot be. */
export function planOf<T>(list: string, order: KeysetOrder<T>, { first, after, last, before }: PageRequest): PagePlan {
  const issues: Issue[] = [];
  const size = (name: string, value: number | null | undefined) => {
    if (typeof value === 'number' && (value < 1 || value > MAX_PAGE_SIZE)) issues.push({ path: [name], message: `must be 1 to ${MAX_PAGE_SIZE}` });
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

/** The cursor of a place in a list. */
export const cursorAt = <T>(list: string, order: KeysetOrder<T>, place: Place): string => encodeCursor([tagOf(list, order), ...place]);

/** Where a row stands in an order. */
export function placeOf<T>(row: T, order: KeysetOrder<T>): Place {
  return order.columns.map((column) => {
    const value = row[column];
    return value instanceof Date ? value.getTime() : (value as string | number);
  });
}

/** The direction in which a page's rows are read. */
export const readingDirection = <T>({ direction }: KeysetOrder<T>, { isBackwards }: PagePlan): Direction => ((direction === 'DESC') === isBackwards ? 'ASC' : 'DESC');

/** Leaves the rows from a place on in a direction, the row there itself where it is `inclusive`. Names the parameters after `name`. */
export function from<T extends ObjectLiteral>(query: SelectQueryBuilder<T>, order: KeysetOrder<T>, direction: Direction, place: Place | undefined, name: string, inclusive = false): void {
  if (!place) return;
  const [major, minor] = order.columns;
  const beyond = direction === 'DESC' ? '<' : '>';
  // The first half bounds the index range; a row-value comparison would read the same and MariaDB would scan for it.
  query.andWhere(`row.${major} ${beyond}= :${name}Major AND (row.${major} ${beyond} :${name}Major OR row.${minor} ${beyond}${inclusive ? '=' : ''} :${name}Minor)`, {
    [`${name}Major`]: place[0],
    [`${name}Minor`]: place[1],
  });
}

export const opposite = (direction: Direction): Direction => (direction === 'DESC' ? 'ASC' : 'DESC');

/** Only the rows strictly between a plan's two cursors. */
export function between<T extends ObjectLiteral>(query: SelectQueryBuilder<T>, order: KeysetOrder<T>, { after, before }: Pick<PagePlan, 'after' | 'before'>): void {
  from(query, order, order.direction, after, 'after');
  from(query, order, opposite(order.direction), before, 'before');
}
