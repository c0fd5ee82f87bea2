// @ts-check
const { readFileSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const { ROOT, StepFailure } = require('./tools');

/**
 * Returns README.md, then the pages of docs/ in the order of README.md's list, which is the order to read them.
 * @returns {{ file: string, text: string }[]}
 */
function readDocuments() {
  const readme = readDocument('README.md');
  const listed = [...readme.matchAll(/^(?:\d+\.|-) \[[^\]]+\]\((docs\/[a-z-]+\.md)\)/gm)].map(([, file = '']) => file);
  const lost = readdirSync(join(ROOT, 'docs')).filter((name) => !listed.includes(`docs/${name}`));
  if (lost.length > 0) throw new StepFailure(`README.md's list of documents lacks ${lost.join(' and ')} of docs/.`);
  return [{ file: 'README.md', text: readme }, ...listed.map((file) => ({ file, text: readDocument(file) }))];
}

/** @param {string} file from the repository's root */
function readDocument(file) {
  return readFileSync(join(ROOT, file), 'utf8');
}

module.exports = { readDocument, readDocuments };
