import { Brackets, type ObjectLiteral, type SelectQueryBuilder } from 'typeorm';
import { invalid } from '../errors';
import { storable } from '../lib/rules';

/** The most values that one filter of a list names. */
export const MAX_FILTER_VALUES = 1_000;
/** The longest text that a filter of a list looks for. */
export const MAX_SEARCH_LENGTH = 100;

/** Leaves some of a query's rows, of which the alias is `row`. */
export type Restrict<T extends ObjectLiteral> = (query: SelectQueryBuilder<T>) => void;

// What a filter asks for, each undefined where it asks for nothing of the kind.

/** All of these. */
export function every<T extends ObjectLiteral>(...conditions: (Restrict<T> | undefined)[]): Restrict<T> | undefined {
  const given = conditions.filter((condition) => condition !== undefined);
  return given.length === 0 ? undefined : (query) => given.forEach((condition) => condition(query));
}

/**
 * That a property is any of these values; `argument` names the filter's. The column stands in a function, so that the database looks at it
 * row by row and does not leave the index that has the list's order for one of this column. INVALID_REQUEST for more than it takes.
 */
export function anyOf<T extends ObjectLiteral>(property: keyof T & string, values: readonly string[] | null | undefined, argument: string = property): Restrict<T> | undefined {
  if (!values) return undefined;
  if (values.length > MAX_FILTER_VALUES) throw invalid({ path: ['filter', argument], message: `must be at most ${MAX_FILTER_VALUES} values` });
  const wanted = storable(values);
  return (query) => query.andWhere(wanted.length === 0 ? '1 = 0' : `NULLIF(row.${property}, '') IN (:...${property}Any)`, { [`${property}Any`]: wanted });
}

/** That a property is this value. */
export function is<T extends ObjectLiteral>(property: keyof T & string, value: string | boolean | null | undefined): Restrict<T> | undefined {
  return value === null || value === undefined ? undefined : (query) => query.andWhere({ [property]: value });
}

/** That the SQL of any of these holds, such as of a state that follows from the time. */
export function anyState<T extends ObjectLiteral, S extends string>(sql: Record<S, string>, wanted: readonly S[] | null | undefined, parameters: ObjectLiteral): Restrict<T> | undefined {
  if (!wanted) return undefined;
  const either = new Brackets((query) => {
    query.where('1 = 0');
    for (const state of new Set(wanted)) query.orWhere(`(${sql[state]})`);
  });
  return (query) => query.andWhere(either).setParameters(parameters);
}

/**
 * That a column, in SQL, has a text in it; `argument` names its parameter. A to Z are the same in either case, other letters where the
 * database says so. INVALID_REQUEST for a text that is empty or too long.
 */
export function has<T extends ObjectLiteral>(text: string | null | undefined, argument: string, column = `row.${argument}`): Restrict<T> | undefined {
  if (typeof text !== 'string') return undefined;
  const pattern = searchPattern(text, argument);
  return (query) => query.andWhere(`LOWER(${column}) LIKE LOWER(:${argument}Text) ESCAPE '!'`, { [`${argument}Text`]: pattern });
}

/** For LIKE with `ESCAPE '!'`: whatever has this text in it. */
export function searchPattern(text: string, argument: string): string {
  const { length } = [...text];
  if (length < 1 || length > MAX_SEARCH_LENGTH) throw invalid({ path: ['filter', argument], message: `must be 1 to ${MAX_SEARCH_LENGTH} characters` });
  return `%${text.replace(/[!%_]/g, (wildcard) => `!${wildcard}`)}%`;
}

/** That a column, in SQL or as a property, lies from one time on and before another. `name` names their parameters. */
export function within<T extends ObjectLiteral>(column: string, from: Date | null | undefined, to: Date | null | undefined, name = ''): Restrict<T> | undefined {
  return every(
    from ? (query) => query.andWhere(`${column} >= :${name}From`, { [`${name}From`]: from.getTime() }) : undefined,
    to ? (query) => query.andWhere(`${column} < :${name}To`, { [`${name}To`]: to.getTime() }) : undefined,
  );
}

/** The same of two numbers, both inclusive. */
export function ranging<T extends ObjectLiteral>(column: string, least: number | null | undefined, most: number | null | undefined, name: string): Restrict<T> | undefined {
  return every(
    typeof least === 'number' ? (query) => query.andWhere(`${column} >= :${name}Least`, { [`${name}Least`]: least }) : undefined,
    typeof most === 'number' ? (query) => query.andWhere(`${column} <= :${name}Most`, { [`${name}Most`]: most }) : undefined,
  );
}
