import type { EntityManager, EntityMetadata, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { inPieces } from '../lib/turns';

// Runs many queries with the same columns as one statement with UNION ALL. Otherwise a hundred parents would need a hundred round trips,
// and a window function would read all rows of each parent. SQLite allows a LIMIT in a UNION only inside a subquery.

/** The limits of one statement. SQLite allows 500 queries in a UNION and 32,766 parameters. */
const MAX_QUERIES = 400;
const MAX_PARAMETERS = 30_000;

interface Text {
  sql: string;
  parameters: unknown[];
}

/** A value in SQL. */
type Raw = string | number | null;

/** Reads the raw rows of each query, by the column names of the query. The rows of a query are in no order. */
export async function readRawTogether<R extends Record<string, Raw>>(
  reader: EntityManager,
  queries: SelectQueryBuilder<ObjectLiteral>[],
): Promise<R[][]> {
  const found = queries.map((): R[] => []);
  const texts = await inPieces(queries, (query, index) => textOf(query.addSelect(String(index), 'part')));
  for (const chunk of chunksOf(texts)) {
    const rows = await reader.query<(R & { part: Raw })[]>(unionOf(chunk), parametersOf(chunk));
    for (const row of rows) found[Number(row.part)]?.push(row);
  }
  return found;
}

/**
 * Reads the entities of each query, in no order. The alias in the queries is `row`. The queries select only primary keys, and the rows are
 * joined afterwards. So an index with the right order answers a query alone. Otherwise the database may read the table and sort it.
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
    // With LEFT JOIN the database begins with the few picked rows. With an inner join it could begin with the table and its million rows.
    const alias = reader.connection.driver.escape('row');
    const sql = `SELECT picked.part AS part, ${columns} FROM (${unionOf(chunk)}) picked LEFT JOIN ${table} ${alias} ON ${sameKey}`;
    const rows = await reader.query<Record<string, Raw>[]>(sql, parametersOf(chunk));
    await inPieces(rows, (row) => found[Number(row['part'])]?.push(entityOf(reader, metadata, row) as T));
  }
  return found;
}

/** Reads the entities of one query in its order, in several turns of the event loop, for thousands of rows. Its alias is `row`. */
export async function readMany<T extends ObjectLiteral>(reader: EntityManager, query: SelectQueryBuilder<T>): Promise<T[]> {
  const { metadata } = query.expressionMap.mainAlias as { metadata: EntityMetadata };
  query.select([]);
  metadata.columns.forEach(({ propertyName }, at) => query.addSelect(`row.${propertyName}`, `c${at}`));
  const rows = await query.getRawMany<Record<string, Raw>>();
  return inPieces(rows, (row) => entityOf(reader, metadata, row) as T);
}

/** Makes an entity from a row with the columns `c0`, `c1` and so on. */
function entityOf(reader: EntityManager, metadata: EntityMetadata, row: Record<string, Raw>): ObjectLiteral {
  const entity = metadata.create(undefined) as ObjectLiteral;
  metadata.columns.forEach((column, at) =>
    column.setEntityValue(entity, reader.connection.driver.prepareHydratedValue(row[`c${at}`], column)),
  );
  return entity;
}

function textOf(query: SelectQueryBuilder<ObjectLiteral>): Text {
  const [sql, parameters] = query.getQueryAndParameters();
  return { sql, parameters };
}

const quoted = ({ connection: { driver } }: EntityManager, alias: string, column: string): string =>
  `${driver.escape(alias)}.${driver.escape(column)}`;
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
