// @ts-check
// `npm run release`: releases the version of package.json. Today's schema and OpenAPI document become the promise that later versions keep,
// and CHANGELOG.md gets the version's heading. Commit and tag the written files.

const { copyFileSync, readFileSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const { releasedChangelog } = require('./checks/changelog');
const { deprecationProblems } = require('./checks/evolution');
const { ROOT } = require('./checks/tools');

const { version } = require('../package.json');
const at = (/** @type {string} */ file) => join(ROOT, file);
const today = new Date().toISOString().slice(0, 10);
const schema = readFileSync(at('schema.graphql'), 'utf8');

// Counts the notice from today, not from the last release as `npm run check` does: clients can read the notice from today on.
const problems = deprecationProblems(readFileSync(at('test/contract/released.graphql'), 'utf8'), schema, today);
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
writeFileSync(at('CHANGELOG.md'), releasedChangelog(readFileSync(at('CHANGELOG.md'), 'utf8'), version, today));
writeFileSync(
  at('test/contract/released.graphql'),
  `# The admin schema of ${version}, ${today}. The next versions keep it; npm run release writes this file.\n${schema}`,
);
copyFileSync(at('openapi.json'), at('test/contract/released.openapi.json'));
console.log(`${version} is released in these files: commit them, and tag the commit.`);
