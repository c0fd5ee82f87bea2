// @ts-check
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { ROOT, StepFailure, built } = require('./tools');

/** The table of errors in src/errors.ts is the one that README.md shows. */
async function checkErrors() {
  const { ERRORS } = built('errors.js');
  const problems = compareErrors(readFileSync(join(ROOT, 'README.md'), 'utf8'), ERRORS);
  if (problems.length > 0) throw new StepFailure(problems.join('\n'));
  return `${Object.keys(ERRORS).length} codes`;
}

/**
 * What README.md says of errors and the code does not, or the other way round; a sentence each.
 * Under "## Errors" it shows REST's answers as `| HTTP | STATUS | CODE | ...`, and under "### GraphQL" the codes that only GraphQL has.
 * @param {string} readme
 * @param {Record<string, { kind: string }>} errors
 * @returns {string[]}
 */
function compareErrors(readme, errors) {
  const section = /^## Errors[ \t]*$([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(readme)?.[1];
  if (section === undefined) return ['README.md has no heading "## Errors".'];
  const [rest = '', graphql = ''] = section.split(/^### GraphQL\b.*$/m);
  const rows = [...rest.matchAll(/^\|\s*(\d{3})\s*\|\s*`(\w+)`\s*\|\s*`(\w+)`\s*\|/gm)].map(([, , status, code]) => ({ status, code }));
  if (rows.length === 0) return ['README.md has no row such as | 404 | `NOT_FOUND` | `NOT_FOUND` | under "## Errors".'];
  const graphqlCodes = graphql.split('\n').filter((line) => line.startsWith('|')).flatMap((line) => /`(\w+)`/.exec(line)?.[1] ?? []);
  const documented = new Set([...rows.map((row) => row.code), ...graphqlCodes]);
  return [
    ...rows.flatMap(({ status, code }) => problemOfRow(status ?? '', code ?? '', errors)),
    ...rows.filter(({ code }, index) => rows.findIndex((row) => row.code === code) !== index).map(({ code }) => `README.md has ${code} in two rows.`),
    ...Object.keys(errors).filter((code) => !documented.has(code)).map((code) => `${code} of src/errors.ts is in no row of README.md.`),
  ];
}

/**
 * @param {string} status
 * @param {string} code
 * @param {Record<string, { kind: string }>} errors
 * @returns {string[]}
 */
function problemOfRow(status, code, errors) {
  const error = errors[code];
  if (!error) return [`${code} of README.md is not in src/errors.ts.`];
  return error.kind === status ? [] : [`${code} is ${error.kind} in src/errors.ts and ${status} in README.md.`];
}

module.exports = { checkErrors, compareErrors };
