import { headers } from '../openapi/headers';
import { jsonLines, queryParameters, ref, schemasOf, type Operation, type Part } from '../openapi/part';
import { withSecret } from '../openapi/security';
import { EXPORT_FAILURES, INCOMPLETE } from './exports.openapi';
import { csvHeader, csvLines } from './lines';
import type { ExportedTable } from './table';
import { EXPORTED_TABLES } from './tables.route';

function exportOf({ name, summary, permission, query, line }: ExportedTable): Operation {
  const { id = '', examples } = line.meta() ?? {};
  const [example = {}] = examples as object[];
  const columns = Object.keys(line.shape);
  return {
    operationId: `export-${name}`.replace(/-(\w)/g, (_dash, letter: string) => letter.toUpperCase()),
    tags: ['Exports'],
    summary,
    description: `Needs the permission \`${permission}\`. ${INCOMPLETE}`,
    security: withSecret(permission),
    parameters: queryParameters(query),
    responses: {
      200: {
        description: 'Each line of JSON has these properties, and each record of CSV has them as fields. Ignore empty lines of JSON.',
        headers: headers('Content-Disposition'),
        content: {
          ...jsonLines(ref(id), example),
          'text/csv': { schema: { type: 'string' }, example: csvHeader(columns) + csvLines(columns, [example]) },
        },
      },
      ...EXPORT_FAILURES,
    },
  };
}

export const tableExports: Part = {
  paths: Object.fromEntries(EXPORTED_TABLES.map((table) => [`/v1/export/${table.name}`, { get: exportOf(table) }])),
  schemas: schemasOf(...EXPORTED_TABLES.map(({ line }) => line)),
};
