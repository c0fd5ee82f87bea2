// @ts-check
// `npm run check`: everything that can be proved without running the tests. `npm run check -- lint imports` proves only those.

const { checkErrors } = require('./checks/errors');
const { checkEvolution } = require('./checks/evolution');
const { checkImports } = require('./checks/imports');
const { checkManual } = require('./checks/manual');
const { checkMigrations } = require('./checks/migrations');
const { checkOpenapi, checkSchema } = require('./checks/generated');
const { checkPaths } = require('./checks/paths');
const { StepFailure, runTool } = require('./checks/tools');

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {() => Promise<string | void>} run answers a note for its line; throws where something is wrong
 * @property {string} todo what to do about a failure
 * @property {string} [needs] the step without whose success this one says nothing
 */

// Two lanes for two processor cores; the steps of a lane run one after the other.

/** @type {Step[]} */
const sources = [
  { name: 'lint', run: () => runTool('eslint/bin/eslint.js', '.', '--max-warnings=0'), todo: 'Each message says what to use instead; `npx eslint --fix .` mends the mechanical ones.' },
  { name: 'imports', run: checkImports, todo: 'Under each violation stands what to do; the rules are in .dependency-cruiser.cjs.' },
  {
    name: 'evolution',
    run: checkEvolution,
    todo:
      'Bring back what is gone: deprecate it first, with a reason that ends with "Removed after YYYY-MM-DD.", six months off. ' +
      'What is new has its line under "## [Unreleased]" of CHANGELOG.md.',
  },
  { name: 'manual', run: checkManual, todo: '`npm run manual` hands what the documents say on to GraphiQL and /docs.' },
  { name: 'paths', run: checkPaths, todo: "Write the path relative to the repository: nobody else has this machine's folders." },
];

/** @type {Step[]} */
const products = [
  { name: 'types', run: () => runTool('typescript/bin/tsc', '-p', 'tsconfig.check.json'), todo: 'Mend the types; `any` and `@ts-ignore` do not mend them.' },
  { name: 'build', run: () => runTool('typescript/bin/tsc', '-p', 'tsconfig.json'), todo: 'Mend the types; the steps after this one look at what was built.' },
  {
    name: 'schema',
    run: checkSchema,
    needs: 'build',
    todo:
      'If the change is meant: `npm run build && node dist/src/cli.js print-schema > schema.graphql`, and read the diff. ' +
      'What test/contract/contract.graphql promises is never removed or renamed.',
  },
  { name: 'openapi', run: checkOpenapi, needs: 'build', todo: 'If the change is meant: `npm run build && node dist/src/cli.js print-openapi > openapi.json`, and read the diff.' },
  { name: 'errors', run: checkErrors, needs: 'build', todo: 'Make the tables of docs/errors.md and ERRORS in src/errors.ts say the same.' },
  { name: 'migrations', run: checkMigrations, needs: 'build', todo: 'Write a new migration for each database in src/db/migrations (one that has landed is never edited), or mend the entity.' },
];

const all = [...sources, ...products];

async function main() {
  const wanted = selection(process.argv.slice(2));
  /** @type {Set<string>} */
  const failed = new Set();
  /** @param {Step[]} lane */
  const runLane = async (lane) => {
    for (const step of lane) if (wanted.has(step.name)) await runStep(step, failed);
  };
  await Promise.all([runLane(products), runLane(sources)]);
  console.log(failed.size === 0 ? '\nAll is well.' : `\nFailed: ${[...failed].join(', ')}.`);
  process.exitCode = failed.size === 0 ? 0 : 1;
}

/** @param {string[]} names */
function selection(names) {
  const unknown = names.filter((name) => !all.some((step) => step.name === name));
  if (unknown.length > 0) {
    console.error(`No such step: ${unknown.join(', ')}. There are ${all.map((step) => step.name).join(', ')}.`);
    process.exit(1);
  }
  const chosen = names.length === 0 ? all : all.filter((step) => names.includes(step.name));
  return new Set(chosen.flatMap((step) => [...(step.needs ? [step.needs] : []), step.name]));
}

/**
 * @param {Step} step
 * @param {Set<string>} failed
 */
async function runStep(step, failed) {
  const started = performance.now();
  /** @type {(verdict: string, note?: string) => void} */
  const report = (verdict, note = '') => {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${verdict.padEnd(4)} ${step.name.padEnd(10)} ${seconds.padStart(5)} s  ${note}`.trimEnd());
  };
  if (step.needs && failed.has(step.needs)) {
    failed.add(step.name);
    report('FAIL', `not run, for ${step.needs} failed`);
    return;
  }
  try {
    report('ok', (await step.run()) || '');
  } catch (error) {
    failed.add(step.name);
    report('FAIL');
    console.log(indent(error instanceof StepFailure ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)));
    console.log(indent(`What to do: ${step.todo}\n`));
  }
}

/** @param {string} text */
function indent(text) {
  return text.replace(/^(?=.)/gm, '     ');
}

void main();
