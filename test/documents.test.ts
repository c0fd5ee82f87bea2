import { readDocuments } from '../scripts/checks/documents';
import { blocksOf, stepsOf, type Step } from './support/markdown';
import { Walkthrough, itWith } from './support/walkthrough';

// Executes README.md and the pages of docs/ word for word and in order, beginning with an empty database: on SQLite in one jest project,
// on a server in the other. .ci/run executes the two lines with `npm ci`; test/documents.pure.test.ts checks this.

interface PlacedStep extends Step {
  place: string;
}

/** The database that a step is for, or undefined if it is for both. */
function databaseOf({ block: { language, text } }: Step): typeof TEST_DATABASE | undefined {
  if (language === 'sql' || /mysql|mariadb/.test(text)) return 'mysql';
  return /npm ci|sqlite|libsql|tollgate\.db/.test(text) ? 'sqlite' : undefined;
}

/** Returns whether a step must run before all others: it creates the database or starts the server. */
const isStart = ({ block: { language, text } }: Step): boolean => language === 'sql' || /\bnpm start$/m.test(text);

const steps = readDocuments()
  .flatMap(({ file, text }): PlacedStep[] => stepsOf(blocksOf(text)).map((step) => ({ ...step, place: `${file}:${step.block.line}` })))
  .filter((step) => !step.block.text.startsWith('npm ci && npm test'));
const ownSteps = steps.filter((step) => (databaseOf(step) ?? TEST_DATABASE) === TEST_DATABASE);
const inOrder = [...ownSteps.filter(isStart), ...ownSteps.filter((step) => !isStart(step))];

const test = itWith('curl', ...(TEST_DATABASE === 'mysql' ? ['mariadb-dump'] : []));

describe(`the documents (${TEST_DATABASE})`, () => {
  let reader: Walkthrough;
  let stuckAt: string | undefined;

  beforeAll(async () => {
    reader = await Walkthrough.begin();
  });

  test.each(inOrder.map((step) => ({ step, place: step.place, line: step.block.text.split('\n', 1)[0] })))(
    'work from $place: $line',
    async ({ step, place }) => {
      if (stuckAt !== undefined) throw new Error(`The reader is stuck at ${stuckAt}.`);
      stuckAt = place;
      await reader.run(step);
      stuckAt = undefined;
    },
    90_000,
  );
});
