import type { TestApp } from '../support/app';
import type { Statement } from '../support/statements';

/** How a database reads one table for a statement. */
export interface Access {
  table: string;
  index: string | null;
  /** Whether it reads the table or an index from one end to the other, with nothing that ends it. */
  isScan: boolean;
}

export interface Plan {
  accesses: Access[];
  /** Whether rows are put in order after they were read. */
  sorts: boolean;
  /** As the database told it. */
  text: string;
}

/** How a database would answer a statement. */
export async function explain({ database }: Pick<TestApp, 'database'>, { sql, parameters }: Statement): Promise<Plan> {
  return database.dialect === 'mysql' ? ofMysql(await database.reader.query(`EXPLAIN ${sql}`, parameters)) : ofSqlite(await database.reader.query(`EXPLAIN QUERY PLAN ${sql}`, parameters));
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
    // type `index` is an index in its order, which a LIMIT ends; ALL is the table in no order
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
