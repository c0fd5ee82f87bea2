import { Brackets, type ObjectLiteral, type SelectQueryBuilder } from 'typeorm';
import { invalid } from '../errors';
import { storable } from '../lib/rules';

/** The largest number of values in one filter. */
export const MAX_FILTER_VALUES = 1_000;
/** The longest search text of a filter, in characters. */
export const MAX_SEARCH_LENGTH = 100;

/** Adds conditions to a query. The alias of the table is `row`. */
export type Restrict<T extends ObjectLiteral> = (query: SelectQueryBuilder<T>) => void;

// The conditions of a filter. Each function returns undefined if the filter does not set the condition.

/** All given conditions must hold. */
export function every<T extends ObjectLiteral>(...conditions: (Restrict<T> | undefined)[]): Restrict<T> | undefined {
  const given = conditions.filter((condition) => condition !== undefined);
  return given.length === 0 ? undefined : (query) => given.forEach((condition) => condition(query));
}

/**
 * The property must be one of these values. Throws INVALID_REQUEST for more than MAX_FILTER_VALUES; `argument` is the name in its message.
 * The SQL wraps the column in a function on purpose: the database then keeps the index with the list's order and does not switch to an
 * index of this column.
 */
export function anyOf<T extends ObjectLiteral>(
  property: keyof T & string,
  values: readonly string[] | null | undefined,
  argument: string = property,
): Restrict<T> | undefined {
  if (!values) return undefined;
  if (values.length > MAX_FILTER_VALUES)
    throw invalid({ path: ['filter', argument], message: `must be at most ${MAX_FILTER_VALUES} values` });
  const wanted = storable(values);
  return (query) =>
    query.andWhere(wanted.length === 0 ? '1 = 0' : `NULLIF(row.${property}, '') IN (:...${property}Any)`, { [`${property}Any`]: wanted });
}

/** The property must have this value. */
export function is<T extends ObjectLiteral>(
  property: keyof T & string,
  value: string | boolean | null | undefined,
): Restrict<T> | undefined {
  return value === null || value === undefined ? undefined : (query) => query.andWhere({ [property]: value });
}

/** One of the wanted states must hold. `sql` gives the SQL condition of each state, for states that depend on the time. */
export function anyState<T extends ObjectLiteral, S extends string>(
  sql: Record<S, string>,
  wanted: readonly S[] | null | undefined,
  parameters: ObjectLiteral,
): Restrict<T> | undefined {
  if (!wanted) return undefined;
  const either = new Brackets((query) => {
    query.where('1 = 0');
    for (const state of new Set(wanted)) query.orWhere(`(${sql[state]})`);
  });
  return (query) => query.andWhere(either).setParameters(parameters);
}

/**
 * The column, given in SQL, must contain the text. Ignores the case of A to Z, and of other letters if the database does. `argument` is the
 * name of the SQL parameter. Throws INVALID_REQUEST if the text is empty or too long.
 */
export function has<T extends ObjectLiteral>(
  text: string | null | undefined,
  argument: string,
  column = `row.${argument}`,
): Restrict<T> | undefined {
  if (typeof text !== 'string') return undefined;
  const pattern = searchPattern(text, argument);
  return (query) => query.andWhere(`LOWER(${column}) LIKE LOWER(:${argument}Text) ESCAPE '!'`, { [`${argument}Text`]: pattern });
}

/** Makes a pattern for LIKE with `ESCAPE '!'` that matches every text that contains this one. */
export function searchPattern(text: string, argument: string): string {
  const { length } = [...text];
  if (length < 1 || length > MAX_SEARCH_LENGTH)
    throw invalid({ path: ['filter', argument], message: `must be 1 to ${MAX_SEARCH_LENGTH} characters` });
  return `%${text.replace(/[!%_]/g, (wildcard) => `!${wildcard}`)}%`;
}

/**
 * The column must lie between two times: `from` is inclusive, `to` is exclusive. The column is SQL or a property. `name` begins the names
 * of the parameters.
 */
export function within<T extends ObjectLiteral>(
  column: string,
  from: Date | null | undefined,
  to: Date | null | undefined,
  name = '',
): Restrict<T> | undefined {
  return every(
    from ? (query) => query.andWhere(`${column} >= :${name}From`, { [`${name}From`]: from.getTime() }) : undefined,
    to ? (query) => query.andWhere(`${column} < :${name}To`, { [`${name}To`]: to.getTime() }) : undefined,
  );
}

/** The column must lie between two numbers, both inclusive. */
export function ranging<T extends ObjectLiteral>(
  column: string,
  least: number | null | undefined,
  most: number | null | undefined,
  name: string,
): Restrict<T> | undefined {
  return every(
    typeof least === 'number' ? (query) => query.andWhere(`${column} >= :${name}Least`, { [`${name}Least`]: least }) : undefined,
    typeof most === 'number' ? (query) => query.andWhere(`${column} <= :${name}Most`, { [`${name}Most`]: most }) : undefined,
  );
}
