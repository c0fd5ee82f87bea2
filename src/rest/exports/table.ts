import { z } from 'zod';
import type { EntityManager } from 'typeorm';
import type { AdministrativePermission } from '../../access/permissions';
import { MAX_FILTER_VALUES, MAX_SEARCH_LENGTH } from '../../db/filters';
import { MAX_MICRO_CREDITS, idRule } from '../../lib/rules';
import { Environment } from '../../tenancy/environment';

// What the tables that can be exported have in common.

/** What whoever reads is shown besides, by the permissions that it has. */
export type Sees = (permission: AdministrativePermission) => boolean;

export interface RowsRequest<Query> {
  reader: EntityManager;
  workspaceId: string;
  query: Query;
  /** The time by the database's clock at which the export began; what is newer is none of it. */
  startedAt: Date;
  sees: Sees;
}

/** A table that can be exported. */
export interface ExportedTable<Query extends z.ZodObject = z.ZodObject> {
  /** As it stands in the address. */
  name: string;
  summary: string;
  /** What it takes to read it. */
  permission: AdministrativePermission;
  /** What else it takes for some of its values, which are null without. */
  besides: readonly AdministrativePermission[];
  query: Query;
  /** The values of a line, in their order. */
  line: z.ZodObject;
  /** The lines, oldest first, a few at a time or none. INVALID_REQUEST and NOT_FOUND come before the first. */
  rows(request: RowsRequest<z.output<Query>>): Promise<AsyncIterable<object[]>>;
}

export const formats = ['csv', 'ndjson'] as const;

/** The parameters that every table has; `after` is the id of one of its rows. */
export const commonParameters = {
  format: z.enum(formats, 'must be csv or ndjson').default('ndjson').meta({ description: 'A line is a record of CSV, with the names in the first, or an object of JSON.' }),
  workspaceId: idRule.meta({ description: 'Whose. A key’s own where it is absent; the operator says which.' }).optional(),
  after: idRule.meta({ description: 'The `id` of the last line that was read: goes on after it.' }).optional(),
};

const rfc3339 = z.iso.datetime({ offset: true });

/** A parameter that is a time. */
export const instant = z
  .string('must be one time')
  .refine((text) => rfc3339.safeParse(text).success, 'must be a time as RFC 3339 has it, such as 2026-11-21T09:30:00Z')
  .meta({ format: 'date-time' })
  .transform((text) => new Date(text));

/** A parameter that is an amount. */
export const amount = z
  .string('must be one number')
  .refine((text) => /^-?\d{1,16}$/.test(text) && Math.abs(Number(text)) <= MAX_MICRO_CREDITS, 'must be a whole number of micro-credits within 2^53 - 1')
  .meta({ type: 'integer' })
  .transform(Number);

/** A parameter that is looked for in a text. */
export const searched = z.string('must be one text').refine((text) => text !== '' && [...text].length <= MAX_SEARCH_LENGTH, `must be 1 to ${MAX_SEARCH_LENGTH} characters`);

/** A parameter that says yes or no. */
export const flag = z
  .enum(['true', 'false'], 'must be true or false')
  .transform((text) => text === 'true');

/** LIVE or TEST. */
export const environment = z.enum(Environment, 'must be LIVE or TEST').meta({ description: 'LIVE or TEST.' });

/** A parameter that may be repeated: any of its values. */
export const anyOfThese = <T extends z.ZodType>(rule: T) => z.array(rule).max(MAX_FILTER_VALUES, `must be at most ${MAX_FILTER_VALUES} values`);

/** A query whose lists are lists where they have one value, too. */
export function withLists(query: z.ZodObject, asked: object): object {
  const isList = (name: string) => query.shape[name] instanceof z.ZodOptional && query.shape[name].unwrap() instanceof z.ZodArray;
  return Object.fromEntries(Object.entries(asked).map(([name, value]) => [name, isList(name) && !Array.isArray(value) ? [value] : value]));
}

/** No rows. */
export async function* none(): AsyncGenerator<never[]> {}

/** Rows as lines. */
export async function* mapped<T>(windows: AsyncIterable<T[]>, lines: (rows: T[]) => object[] | Promise<object[]>): AsyncGenerator<object[]> {
  for await (const rows of windows) yield rows.length === 0 ? [] : await lines(rows);
}

// Values of lines
export const text = z.string();
export const textOrNull = z.string().nullable();
export const time = z.date().meta({ type: 'string', format: 'date-time' });
export const microCredits = (description: string) => z.int().meta({ description: `${description} In micro-credits, 1 USD = 1,000,000.` });
