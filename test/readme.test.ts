import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blocksOf, stepsOf, type Step } from './support/markdown';
import { Walkthrough, missingPrograms } from './support/walkthrough';

// README.md is done, word for word, by a reader who begins with an empty database: on SQLite in one project, on a server in the other.
// The two lines with `npm ci` are what .ci/run does; test/readme.pure.test.ts sees to that.

const README = readFileSync(join(__dirname, '..', 'README.md'), 'utf8');

/** The database that a step is for; undefined where it is for both. */
function databaseOf({ block: { language, text } }: Step): typeof TEST_DATABASE | undefined {
  if (language === 'sql' || /mysql|mariadb/.test(text)) return 'mysql';
  return /npm ci|sqlite|libsql|tollgate\.db/.test(text) ? 'sqlite' : undefined;
}

/** What has to be done first, wherever it stands: the database, and the start. */
const isStart = ({ block: { language, text } }: Step): boolean => language === 'sql' || /\bnpm start$/m.test(text);

const steps = stepsOf(blocksOf(README)).filter((step) => !step.block.text.startsWith('npm ci && npm test'));
const mine = steps.filter((step) => (databaseOf(step) ?? TEST_DATABASE) === TEST_DATABASE);
const inOrder = [...mine.filter(isStart), ...mine.filter((step) => !isStart(step))];

const needed = ['curl', ...(TEST_DATABASE === 'mysql' ? ['mariadb-dump'] : [])];
const missing = missingPrograms(...needed);
if (missing.length > 0) {
  const problem = `README.md's commands need ${missing.join(' and ')}, which this machine does not have.`;
  if (process.env.CI) throw new Error(problem);
  process.stderr.write(`\nSKIPPED, NOT TESTED: ${problem}\n`);
}

describe(`README.md (${TEST_DATABASE})`, () => {
  let reader: Walkthrough;
  let stuckAt: number | undefined;

  beforeAll(async () => {
    reader = await Walkthrough.begin();
  });

  (missing.length > 0 ? it.skip : it).each(inOrder.map((step) => ({ step, line: step.block.line, what: step.block.text.split('\n', 1)[0] })))(
    'works from line $line: $what',
    async ({ step, line }) => {
      if (stuckAt !== undefined) throw new Error(`The reader is stuck at line ${stuckAt}.`);
      stuckAt = line;
      await reader.run(step);
      stuckAt = undefined;
    },
    90_000,
  );
});
