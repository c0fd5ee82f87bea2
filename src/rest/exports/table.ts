import { z } from 'zod';
import type { EntityManager } from 'typeorm';
import type { AdministrativePermission } from '../../access/permissions';
import { MAX_FILTER_VALUES, MAX_SEARCH_LENGTH } from '../../db/filters';
import { MAX_MICRO_CREDITS, idRule } from '../../lib/rules';
import { Environment } from '../../tenancy/environment';

// Common parts of the exported tables: their query parameters, their columns, and the interface of a table.

/** Returns whether the reader has this permission. The list `besides` must contain it. */
export type Sees = (permission: AdministrativePermission) => boolean;

export interface RowsRequest<Query> {
  reader: EntityManager;
  workspaceId: string;
  query: Query;
  /** Start of the export by the database's clock. The export has no newer rows. */
  startedAt: Date;
  sees: Sees;
}

/** A table that can be exported. */
export interface ExportedTable<Query extends z.ZodObject = z.ZodObject> {
  /** Name in the URL. */
  name: string;
  summary: string;
  /** Permission needed to read the table. */
  permission: AdministrativePermission;
  /** Further permissions, each needed for some values. Without it these values are null. */
  besides: readonly AdministrativePermission[];
  query: Query;
  /** Values of a line, in their order. */
  line: z.ZodObject;
  /** Returns the lines, oldest first, zero or more at a time. Throws INVALID_REQUEST or NOT_FOUND before the first one. */
  rows(request: RowsRequest<z.output<Query>>): Promise<AsyncIterable<object[]>>;
}

export const formats = ['csv', 'ndjson'] as const;

/** The parameters of every table. `after` is the id of one of its rows. */
export const commonParameters = {
  format: z
    .enum(formats, 'must be csv or ndjson')
    .default('ndjson')
    .meta({ description: 'ndjson: each line is a JSON object. csv: each line is a record, and the first has the names.' }),
  workspaceId: idRule.meta({ description: 'The workspace. Required for the operator; others may leave it out.' }).optional(),
  after: idRule.meta({ description: '`id` of the last line that was read. The export continues after it.' }).optional(),
};

const rfc3339 = z.iso.datetime({ offset: true });

/** A parameter for a time. */
export const instant = z
  .string('must be one time')
  .refine((text) => rfc3339.safeParse(text).success, 'must be a time in RFC 3339 format, such as 2026-11-21T09:30:00Z')
  .meta({ format: 'date-time' })
  .transform((text) => new Date(text));

const isAmount = (text: string): boolean => /^-?\d{1,16}$/.test(text) && Math.abs(Number(text)) <= MAX_MICRO_CREDITS;

/** A parameter for an amount of micro-credits. */
export const amount = z
  .string('must be one number')
  .refine(isAmount, 'must be a whole number of micro-credits within 2^53 - 1')
  .meta({ type: 'integer' })
  .transform(Number);

/** A parameter for a text to search for. */
export const searched = z
  .string('must be one text')
  .refine((text) => text !== '' && [...text].length <= MAX_SEARCH_LENGTH, `must be 1 to ${MAX_SEARCH_LENGTH} characters`);

/** A parameter for a boolean. */
export const flag = z
  .enum(['true', 'false'], 'must be true or false')
  .transform((text) => text === 'true');

/** LIVE or TEST. */
export const environment = z.enum(Environment, 'must be LIVE or TEST').meta({ description: 'LIVE or TEST.' });

/** A parameter that may be repeated. Selects rows with any of its values. */
export const anyOfThese = <T extends z.ZodType>(rule: T) =>
  z.array(rule).max(MAX_FILTER_VALUES, `must be at most ${MAX_FILTER_VALUES} values`);

/** Turns parameters that may be repeated but were sent once into lists of one value. */
export function withLists(query: z.ZodObject, asked: object): object {
  const isList = (name: string) => query.shape[name] instanceof z.ZodOptional && query.shape[name].unwrap() instanceof z.ZodArray;
  return Object.fromEntries(
    Object.entries(asked).map(([name, value]) => [name, isList(name) && !Array.isArray(value) ? [value] : value]),
  );
}

/** Returns the exclusive end of an export's time range: the requested end, but at most 1 ms after the start of the export. */
export function endOf({ startedAt, query: { to } }: { startedAt: Date; query: { to?: Date | undefined } }): Date {
  return new Date(Math.min(to?.getTime() ?? Infinity, startedAt.getTime() + 1));
}

/** Yields no rows. */
export async function* none(): AsyncGenerator<never[]> {}

/** Converts windows of rows to lines. */
export async function* mapped<T>(
  windows: AsyncIterable<T[]>,
  lines: (rows: T[]) => object[] | Promise<object[]>,
): AsyncGenerator<object[]> {
  for await (const rows of windows) yield rows.length === 0 ? [] : await lines(rows);
}

// Columns of lines
export const text = z.string();
export const textOrNull = z.string().nullable();
export const time = z.date().meta({ type: 'string', format: 'date-time' });
export const microCredits = (description: string) => z.int().meta({ description: `${description} In micro-credits, 1 USD = 1,000,000.` });
