import type { ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { invalid } from '../errors';
import { storable } from '../lib/rules';

/** The most values that one filter of a list names. */
export const MAX_FILTER_VALUES = 1_000;
/** The longest text that a filter of a list looks for. */
export const MAX_SEARCH_LENGTH = 100;

/**
 * That a property is any of these values; `argument` names the filter's. The column stands in a function, so that the database looks at it
 * row by row and does not leave the index that has the list's order for one of this column. INVALID_REQUEST for more than it takes.
 */
export function anyOf<T extends ObjectLiteral>(query: SelectQueryBuilder<T>, property: keyof T & string, values: readonly string[] | null | undefined, argument: string = property): void {
  if (!values) return;
  if (values.length > MAX_FILTER_VALUES) throw invalid({ path: ['filter', argument], message: `must be at most ${MAX_FILTER_VALUES} values` });
  const wanted = storable(values);
  query.andWhere(wanted.length === 0 ? '1 = 0' : `NULLIF(row.${property}, '') IN (:...${property}Any)`, { [`${property}Any`]: wanted });
}

/**
 * That a column, in SQL, has a text in it; `argument` names its parameter. A to Z are the same in either case, other letters where the
 * database says so. INVALID_REQUEST for a text that is empty or too long.
 */
export function has<T extends ObjectLiteral>(query: SelectQueryBuilder<T>, text: string | null | undefined, argument: string, column = `row.${argument}`): void {
  if (typeof text !== 'string') return;
  query.andWhere(`LOWER(${column}) LIKE LOWER(:${argument}Text) ESCAPE '!'`, { [`${argument}Text`]: searchPattern(text, argument) });
}

/** For LIKE with `ESCAPE '!'`: whatever has this text in it. */
export function searchPattern(text: string, argument: string): string {
  const { length } = [...text];
  if (length < 1 || length > MAX_SEARCH_LENGTH) throw invalid({ path: ['filter', argument], message: `must be 1 to ${MAX_SEARCH_LENGTH} characters` });
  return `%${text.replace(/[!%_]/g, (wildcard) => `!${wildcard}`)}%`;
}

/** Only rows of which a column, in SQL or as a property, lies from one value on and before or up to another. */
export function within<T extends ObjectLiteral>(query: SelectQueryBuilder<T>, column: string, { from, to }: { from?: Date | null | undefined; to?: Date | null | undefined }): void {
  if (from) query.andWhere(`${column} >= :from`, { from: from.getTime() });
  if (to) query.andWhere(`${column} < :to`, { to: to.getTime() });
}

/** The same for two numbers, both inclusive. `name` names their parameters. */
export function ranging<T extends ObjectLiteral>(query: SelectQueryBuilder<T>, column: string, name: string, least: number | null | undefined, most: number | null | undefined): void {
  if (typeof least === 'number') query.andWhere(`${column} >= :${name}Least`, { [`${name}Least`]: least });
  if (typeof most === 'number') query.andWhere(`${column} <= :${name}Most`, { [`${name}Most`]: most });
}
