import type { EntityManager, EntityMetadata, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { inPieces } from '../lib/turns';

// Many queries of one shape as one statement: a query for each of a hundred parents would be a hundred journeys, and a window function
// would read all the rows of each. SQLite wants the subqueries around those that have a LIMIT.

/** What one statement takes: SQLite has a limit of 500 for the one, and of 32,766 for the other. */
const MAX_QUERIES = 400;
const MAX_PARAMETERS = 30_000;

interface Text {
  sql: string;
  parameters: unknown[];
}

/** A value in SQL. */
type Raw = string | number | null;

/** The raw rows of each query, by the names that it gave its columns. In no order. */
export async function readRawTogether<R extends Record<string, Raw>>(reader: EntityManager, queries: SelectQueryBuilder<ObjectLiteral>[]): Promise<R[][]> {
  const found = queries.map((): R[] => []);
  const texts = await inPieces(queries, (query, index) => textOf(query.addSelect(String(index), 'part')));
  for (const chunk of chunksOf(texts)) {
    const rows = await reader.query<(R & { part: Raw })[]>(unionOf(chunk), parametersOf(chunk));
    for (const row of rows) found[Number(row.part)]?.push(row);
  }
  return found;
}

/**
 * The entities of each query, whose alias is `row`. In no order. The queries pick primary keys and the rows are fetched afterwards, so that an
 * index which has the order has all that is asked of it: without that, a database may well read the table and put it in order.
 */
export async function readTogether<T extends ObjectLiteral>(reader: EntityManager, queries: SelectQueryBuilder<T>[]): Promise<T[][]> {
  const [any] = queries;
  if (!any) return [];
  const { metadata } = any.expressionMap.mainAlias as { metadata: EntityMetadata };
  const found = queries.map((): T[] => []);
  const keys = metadata.primaryColumns;
  const texts = await inPieces(queries, (query, index) => {
    query.select(String(index), 'part');
    keys.forEach(({ propertyName }, at) => query.addSelect(`row.${propertyName}`, `k${at}`));
    return textOf(query);
  });
  const columns = metadata.columns.map(({ databaseName }, at) => `${quoted(reader, 'row', databaseName)} AS c${at}`).join(', ');
  const sameKey = keys.map(({ databaseName }, at) => `${quoted(reader, 'row', databaseName)} = picked.k${at}`).join(' AND ');
  const table = reader.connection.driver.escape(metadata.tableName);
  for (const chunk of chunksOf(texts)) {
    // An outer join is read from its left side on: an inner one could begin with the table, a million rows of it.
    const sql = `SELECT picked.part AS part, ${columns} FROM (${unionOf(chunk)}) picked LEFT JOIN ${table} ${reader.connection.driver.escape('row')} ON ${sameKey}`;
    const rows = await reader.query<Record<string, Raw>[]>(sql, parametersOf(chunk));
    await inPieces(rows, (row) => found[Number(row['part'])]?.push(entityOf(reader, metadata, row) as T));
  }
  return found;
}

/** The entities of one query, whose alias is `row`, in its order: for a query that may find thousands of them. */
export async function readMany<T extends ObjectLiteral>(reader: EntityManager, query: SelectQueryBuilder<T>): Promise<T[]> {
  const { metadata } = query.expressionMap.mainAlias as { metadata: EntityMetadata };
  query.select([]);
  metadata.columns.forEach(({ propertyName }, at) => query.addSelect(`row.${propertyName}`, `c${at}`));
  const rows = await query.getRawMany<Record<string, Raw>>();
  return inPieces(rows, (row) => entityOf(reader, metadata, row) as T);
}

/** The entity that a row of columns `c0`, `c1` ... stands for. */
function entityOf(reader: EntityManager, metadata: EntityMetadata, row: Record<string, Raw>): ObjectLiteral {
  const entity = metadata.create(undefined) as ObjectLiteral;
  metadata.columns.forEach((column, at) => column.setEntityValue(entity, reader.connection.driver.prepareHydratedValue(row[`c${at}`], column)));
  return entity;
}

function textOf(query: SelectQueryBuilder<ObjectLiteral>): Text {
  const [sql, parameters] = query.getQueryAndParameters();
  return { sql, parameters };
}

const quoted = ({ connection: { driver } }: EntityManager, alias: string, column: string): string => `${driver.escape(alias)}.${driver.escape(column)}`;
const unionOf = (texts: Text[]): string => texts.map(({ sql }, at) => `SELECT * FROM (${sql}) q${at}`).join(' UNION ALL ');
const parametersOf = (texts: Text[]): unknown[] => texts.flatMap(({ parameters }) => parameters);

function chunksOf(texts: Text[]): Text[][] {
  const chunks: Text[][] = [];
  let room = 0;
  for (const text of texts) {
    const last = chunks.at(-1);
    room -= text.parameters.length;
    if (last && last.length < MAX_QUERIES && room >= 0) {
      last.push(text);
    } else {
      chunks.push([text]);
      room = MAX_PARAMETERS - text.parameters.length;
    }
  }
  return chunks;
}
