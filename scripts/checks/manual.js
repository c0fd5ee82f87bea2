// @ts-check
const { existsSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { parse } = require('graphql');
const { ROOT, StepFailure } = require('./tools');

/** What the server's pages show of README.md: GraphiQL has the tour's operations, /docs its tables. */
const MANUAL_FILE = 'src/lib/readme.json';

/** The file has what README.md says. */
async function checkManual() {
  const wanted = printManual(readFileSync(join(ROOT, 'README.md'), 'utf8'));
  if (!existsSync(join(ROOT, MANUAL_FILE)) || readFileSync(join(ROOT, MANUAL_FILE), 'utf8') !== wanted) throw new StepFailure(`${MANUAL_FILE} is not what README.md says.`);
  return `${JSON.parse(wanted).examples.length} operations`;
}

/** @param {string} readme */
function printManual(readme) {
  return `${JSON.stringify(manualOf(readme), null, 1)}\n`;
}

/**
 * The operations of the tour and the tables of errors and limits. Each cell is as README.md has it, without links into README.md.
 * @param {string} readme
 */
function manualOf(readme) {
  const [restErrors = '', graphqlErrors = ''] = sectionOf(readme, 'Errors').split(/^### GraphQL$/m);
  const limits = sectionOf(readme, 'Limits');
  return {
    examples: examplesOf(sectionOf(readme, 'The admin API')),
    restErrors: rowsOf(restErrors).map(([status, kind, code, when, details]) => ({ status, kind: bare(kind), code: bare(code), when, details })),
    graphqlErrors: rowsOf(graphqlErrors).map(([code, when]) => ({ code: bare(code), when })),
    limits: rowsOf(limits).map(([what, value]) => ({ what, value })),
    otherLimits: limits.split('\n\n').filter((paragraph) => /^[A-Z].*\.$/s.test(paragraph.trim())).map((paragraph) => withoutLinks(paragraph.trim().replace(/\n/g, ' '))),
  };
}

/** @param {string} tour */
function examplesOf(tour) {
  let section = 'A first look';
  /** @type {{ section: string, title: string, field: string, document: string, variables: string }[]} */
  const examples = [];
  for (const [, heading, language, text = ''] of tour.matchAll(/^### (.*)$|^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (heading) section = heading;
    const last = examples.at(-1);
    if (language === 'graphql') examples.push({ section, ...namesOf(text), document: text, variables: '' });
    else if (language === 'json' && last) last.variables = text;
  }
  return examples;
}

/**
 * How an operation is called, in words, and the field that it asks for first.
 * @param {string} document
 */
function namesOf(document) {
  const [operation] = parse(document).definitions;
  if (operation?.kind !== 'OperationDefinition' || !operation.name) throw new StepFailure(`An operation of README.md has no name:\n${document}`);
  const [first] = operation.selectionSet.selections;
  const words = operation.name.value.replace(/(?!^)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return { title: words, field: first?.kind === 'Field' ? first.name.value : '' };
}

/**
 * @param {string} readme
 * @param {string} heading
 */
function sectionOf(readme, heading) {
  const section = readme.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (section === undefined) throw new StepFailure(`README.md has no heading "## ${heading}".`);
  return section.slice(heading.length + 1);
}

/**
 * The rows of all tables in a text, without their heads.
 * @param {string} text
 */
function rowsOf(text) {
  const lines = text.split('\n');
  const isRule = (/** @type {string | undefined} */ line) => /^\|[-| ]+\|$/.test(line ?? '');
  return lines
    .filter((line, index) => line.startsWith('|') && !isRule(line) && !isRule(lines[index + 1]))
    .map((line) => line.slice(1, -1).split('|').map((cell) => withoutLinks(cell.trim())));
}

/** @param {string} text */
function withoutLinks(text) {
  return text.replace(/\[([^\]]+)\]\(#[^)]+\)/g, '$1');
}

/** @param {string | undefined} cell */
function bare(cell) {
  return (cell ?? '').replace(/`/g, '');
}

module.exports = { MANUAL_FILE, checkManual, manualOf, printManual };
