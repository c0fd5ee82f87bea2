import type { ColumnType, ValueTransformer } from 'typeorm';

// Column types that MySQL, MariaDB and SQLite all accept. A value is read back exactly as it was written.

interface Column {
  type: ColumnType;
  length?: number;
  transformer?: ValueTransformer;
}

const nullable = <T, U>(convert: (value: T) => U) => (value: T | null | undefined) =>
  value === null || value === undefined ? value : convert(value);

const wholeNumber: ValueTransformer = {
  to: (value: unknown) => value,
  from: nullable((value: string | number) => Number(value)), // MySQL's driver returns bigint as text
};

const milliseconds: ValueTransformer = {
  to: (value: unknown) => (value instanceof Date ? value.getTime() : value),
  from: nullable((value: string | number) => new Date(Number(value))),
};

/** A whole number within 2^53 - 1, such as micro-credits. */
export const bigintColumn: Column = { type: 'bigint', transformer: wholeNumber };

/** A point in time: a Date in TypeScript, milliseconds since 1970 in SQL. */
export const instantColumn: Column = { type: 'bigint', transformer: milliseconds };

/** A short text, compared by its bytes. */
export const textColumn = (length: number): Column => ({ type: 'varchar', length });

const listOfNumbers: ValueTransformer = {
  to: (value: readonly number[] | undefined) => (value === undefined ? undefined : value.join(',') || null),
  from: (value: string | null) => numbersIn(value),
};

/** A short list of whole numbers. In SQL: text with commas, or NULL for an empty list. */
export const numbersColumn = (length: number) => ({ type: 'varchar' as const, length, transformer: listOfNumbers, nullable: true });

const listAsJson: ValueTransformer = {
  to: (value: readonly unknown[] | undefined) => (value === undefined ? undefined : value.length === 0 ? null : JSON.stringify(value)),
  from: (value: string | null) => jsonListIn(value),
};

const asJson: ValueTransformer = {
  to: nullable((value: object) => JSON.stringify(value)),
  from: nullable((value: string) => JSON.parse(value) as object),
};

/** An object as JSON text, or NULL. */
export const jsonColumn = { type: 'text' as const, transformer: asJson, nullable: true };

/** A list as JSON text. An empty list is NULL, so the column can be added to a table with rows. */
export const jsonListColumn = { type: 'text' as const, transformer: listAsJson, nullable: true };

/** Parses the SQL text of a `jsonListColumn`. */
export const jsonListIn = <T>(text: string | null): readonly T[] => (text === null ? [] : (JSON.parse(text) as T[]));

/** Parses the SQL text of a `numbersColumn`. */
export const numbersIn = (text: string | null): readonly number[] => (text === null ? NONE : text.split(',').map(Number));
const NONE: readonly number[] = [];

/** The id of an object, as `newId` makes it. */
export const idColumn: Column = textColumn(64);
