import type { TestApp } from '../support/app';
import type { Statement } from '../support/statements';

/** How a database reads one table for a statement. */
export interface Access {
  table: string;
  index: string | null;
  /** True if it reads the whole table. */
  isScan: boolean;
}

export interface Plan {
  accesses: Access[];
  /** True if rows are sorted after they were read. */
  sorts: boolean;
  /** The plan as the database printed it. */
  text: string;
}

/** Returns the database's plan for a statement. */
export async function explain({ database }: Pick<TestApp, 'database'>, { sql, parameters }: Statement): Promise<Plan> {
  return database.dialect === 'mysql'
    ? ofMysql(await database.reader.query(`EXPLAIN ${sql}`, parameters))
    : ofSqlite(await database.reader.query(`EXPLAIN QUERY PLAN ${sql}`, parameters));
}

interface MysqlRow {
  table: string | null;
  type: string | null;
  key: string | null;
  rows: number | string | null;
  Extra: string | null;
}

function ofMysql(rows: MysqlRow[]): Plan {
  const real = rows.filter(({ table, type }) => table !== null && type !== null && !table.startsWith('<'));
  return {
    // Type `index` reads an index in its order, and a LIMIT ends it. ALL reads the whole table without an order.
    accesses: real.map(({ table, type, key }) => ({ table: table as string, index: key, isScan: type === 'ALL' })),
    sorts: rows.some(({ Extra }) => /filesort|temporary/.test(Extra ?? '')),
    text: rows.map(({ table, type, key, rows: read, Extra }) => [table, type, key, read, Extra].join(' ')).join('; '),
  };
}

function ofSqlite(rows: { detail: string }[]): Plan {
  const details = rows.map(({ detail }) => detail);
  const accesses = details.flatMap((detail): Access[] => {
    const found = /^(SEARCH|SCAN) (\w+)(?: USING (?:COVERING )?INDEX (\w+)(?: \((.*)\))?)?/.exec(detail);
    if (!found || /^(picked|newest|q\d+|counted|\(subquery)/.test(found[2] as string)) return [];
    const index = found[3] ?? null;
    return [{ table: found[2] as string, index, isScan: found[1] === 'SCAN' && index === null }];
  });
  return { accesses, sorts: details.some((detail) => /TEMP B-TREE/.test(detail)), text: details.join('; ') };
}
