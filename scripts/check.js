// @ts-check
// `npm run check`: runs every check that needs no tests. `npm run check -- lint imports` runs only these steps.

const { checkErrors } = require('./checks/errors');
const { checkEvolution } = require('./checks/evolution');
const { checkImports } = require('./checks/imports');
const { checkManual } = require('./checks/manual');
const { checkMigrations } = require('./checks/migrations');
const { checkSchema } = require('./checks/generated');
const { checkOpenapi } = require('./checks/openapi');
const { checkPaths } = require('./checks/paths');
const { StepFailure, runTool } = require('./checks/tools');

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {() => Promise<string | void>} run returns a note for the step's line; throws if the check fails
 * @property {string} todo what to do about a failure
 * @property {string} [needs] the step that must succeed before this one
 */

// Two lanes for two processor cores; the steps of a lane run one after the other.

/** @type {Step[]} */
const sources = [
  {
    name: 'lint',
    run: () => runTool('eslint/bin/eslint.js', '.', '--max-warnings=0'),
    todo: 'Each message says what to use instead. `npx eslint --fix .` repairs the mechanical ones.',
  },
  { name: 'imports', run: checkImports, todo: 'The text under each violation says what to do. The rules are in .dependency-cruiser.cjs.' },
  {
    name: 'evolution',
    run: checkEvolution,
    todo:
      'Restore the part. Deprecate it first, at least six months ahead, with a reason that ends with "Removed after YYYY-MM-DD.". ' +
      'Name each new part under "## [Unreleased]" of CHANGELOG.md.',
  },
  { name: 'manual', run: checkManual, todo: 'Run `npm run manual`, which copies the documents for GraphiQL and /docs.' },
  { name: 'paths', run: checkPaths, todo: "Write the path relative to the repository: other machines do not have this machine's folders." },
];

/** @type {Step[]} */
const products = [
  {
    name: 'types',
    run: () => runTool('typescript/bin/tsc', '-p', 'tsconfig.check.json'),
    todo: 'Correct the types. `any` and `@ts-ignore` are not allowed.',
  },
  {
    name: 'build',
    run: () => runTool('typescript/bin/tsc', '-p', 'tsconfig.json'),
    todo: 'Correct the types. The later steps check the build.',
  },
  {
    name: 'schema',
    run: checkSchema,
    needs: 'build',
    todo:
      'If the change is intended, run `npm run build && node dist/src/cli.js print-schema > schema.graphql`, and read the diff. ' +
      'Never remove or rename a part of test/contract/contract.graphql.',
  },
  {
    name: 'openapi',
    run: checkOpenapi,
    needs: 'build',
    todo:
      'Correct what a linter names. If the change is intended, run `npm run build && node dist/src/cli.js print-openapi > openapi.json`, ' +
      'and read the diff.',
  },
  { name: 'errors', run: checkErrors, needs: 'build', todo: 'Make the tables of docs/errors.md and ERRORS in src/errors.ts say the same.' },
  {
    name: 'migrations',
    run: checkMigrations,
    needs: 'build',
    todo: 'Add a migration for each database in src/db/migrations, or correct the entity. Never edit a merged migration.',
  },
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
  console.log(failed.size === 0 ? '\nAll checks passed.' : `\nFailed: ${[...failed].join(', ')}.`);
  process.exitCode = failed.size === 0 ? 0 : 1;
}

/** @param {string[]} names */
function selection(names) {
  const unknown = names.filter((name) => !all.some((step) => step.name === name));
  if (unknown.length > 0) {
    console.error(`No such step: ${unknown.join(', ')}. The steps are ${all.map((step) => step.name).join(', ')}.`);
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
    report('FAIL', `not run, because ${step.needs} failed`);
    return;
  }
  try {
    report('ok', (await step.run()) || '');
  } catch (error) {
    failed.add(step.name);
    report('FAIL');
    console.log(
      indent(error instanceof StepFailure ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)),
    );
    console.log(indent(`What to do: ${step.todo}\n`));
  }
}

/** @param {string} text */
function indent(text) {
  return text.replace(/^(?=.)/gm, '     ');
}

void main();
