// @ts-check
const { readDocument } = require('./documents');
const { StepFailure, built } = require('./tools');

/** Checks that docs/errors.md shows the same errors as src/errors.ts. */
async function checkErrors() {
  const { ERRORS } = built('errors.js');
  const problems = compareErrors(readDocument('docs/errors.md'), ERRORS);
  if (problems.length > 0) throw new StepFailure(problems.join('\n'));
  return `${Object.keys(ERRORS).length} codes`;
}

/**
 * Returns one sentence for each difference between docs/errors.md and the code.
 * The page has rows such as `| HTTP | STATUS | CODE | ...` under "## REST", and the codes that only GraphQL uses under "## GraphQL".
 * @param {string} page
 * @param {Record<string, { kind: string }>} errors
 * @returns {string[]}
 */
function compareErrors(page, errors) {
  const [rest = '', graphql = ''] = page.split(/^## GraphQL$/m);
  const rows = [...rest.matchAll(/^\|\s*(\d{3})\s*\|\s*`(\w+)`\s*\|\s*`(\w+)`\s*\|/gm)].map(([, , status, code]) => ({ status, code }));
  if (rows.length === 0) return ['docs/errors.md has no row such as | 404 | `NOT_FOUND` | `NOT_FOUND` |.'];
  const graphqlCodes = graphql
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .flatMap((line) => /`(\w+)`/.exec(line)?.[1] ?? []);
  const documented = new Set([...rows.map((row) => row.code), ...graphqlCodes]);
  return [
    ...rows.flatMap(({ status, code }) => problemOfRow(status ?? '', code ?? '', errors)),
    ...rows
      .filter(({ code }, index) => rows.findIndex((row) => row.code === code) !== index)
      .map(({ code }) => `docs/errors.md has ${code} in two rows.`),
    ...Object.keys(errors)
      .filter((code) => !documented.has(code))
      .map((code) => `${code} of src/errors.ts is in no row of docs/errors.md.`),
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
  if (!error) return [`${code} of docs/errors.md is not in src/errors.ts.`];
  return error.kind === status ? [] : [`${code} is ${error.kind} in src/errors.ts and ${status} in docs/errors.md.`];
}

module.exports = { checkErrors, compareErrors };
