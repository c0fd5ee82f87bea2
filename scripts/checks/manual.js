// @ts-check
const { existsSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { parse } = require('graphql');
const { readDocument, readDocuments } = require('./documents');
const { ROOT, StepFailure } = require('./tools');

/** The parts of the documents that the server's pages show: the tour's operations in GraphiQL, the tables of errors and limits at /docs. */
const MANUAL_FILE = 'src/lib/manual-texts.json';

/** Checks that the file agrees with the documents. */
async function checkManual() {
  const wanted = printManual();
  if (!existsSync(join(ROOT, MANUAL_FILE)) || readFileSync(join(ROOT, MANUAL_FILE), 'utf8') !== wanted)
    throw new StepFailure(`${MANUAL_FILE} does not agree with the documents.`);
  return `${JSON.parse(wanted).examples.length} operations`;
}

function printManual() {
  return `${JSON.stringify(manual(), null, 1)}\n`;
}

/** Returns the operations of the tour and the tables of errors and limits. Links to other pages are removed from the cells. */
function manual() {
  const [restErrors = '', graphqlErrors = ''] = readDocument('docs/errors.md').split(/^## GraphQL$/m);
  const limits = readDocument('docs/limits.md');
  return {
    examples: readDocuments().flatMap(({ text }) => examplesOf(text)),
    restErrors: rowsOf(restErrors).map(([status, kind, code, when, details]) => ({
      status,
      kind: bare(kind),
      code: bare(code),
      when,
      details,
    })),
    graphqlErrors: rowsOf(graphqlErrors).map(([code, when]) => ({ code: bare(code), when })),
    limits: rowsOf(limits).map(([what, value]) => ({ what, value })),
    otherLimits: limits
      .split('\n\n')
      .filter((paragraph) => /^[A-Z].*\.$/s.test(paragraph.trim()))
      .map((paragraph) => withoutLinks(paragraph.trim().replace(/\n/g, ' '))),
  };
}

/** @param {string} page */
function examplesOf(page) {
  let section = '';
  /** @type {{ section: string, title: string, field: string, document: string, variables: string }[]} */
  const examples = [];
  for (const [, heading, language, text = ''] of page.matchAll(/^#+ (.*)$|^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (heading) section = heading;
    const last = examples.at(-1);
    if (language === 'graphql') examples.push({ section, ...namesOf(text), document: text, variables: '' });
    else if (language === 'json' && last) last.variables = text;
  }
  return examples;
}

/**
 * Returns the name of an operation as words, and the name of its first field.
 * @param {string} document
 */
function namesOf(document) {
  const [operation] = parse(document).definitions;
  if (operation?.kind !== 'OperationDefinition' || !operation.name)
    throw new StepFailure(`An operation of the tour has no name:\n${document}`);
  const [first] = operation.selectionSet.selections;
  const words = operation.name.value.replace(/(?!^)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return { title: words, field: first?.kind === 'Field' ? first.name.value : '' };
}

/**
 * Returns the rows of all tables in a text, without their header rows.
 * @param {string} text
 */
function rowsOf(text) {
  const lines = text.split('\n');
  const isRule = (/** @type {string | undefined} */ line) => /^\|[-| ]+\|$/.test(line ?? '');
  return lines
    .filter((line, index) => line.startsWith('|') && !isRule(line) && !isRule(lines[index + 1]))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => withoutLinks(cell.trim())),
    );
}

/** @param {string} text */
function withoutLinks(text) {
  return text.replace(/\[([^\]]+)\]\((?!http)[^)]+\)/g, '$1');
}

/** @param {string | undefined} cell */
function bare(cell) {
  return (cell ?? '').replace(/`/g, '');
}

module.exports = { MANUAL_FILE, checkManual, printManual };
