// @ts-check
const { existsSync, readFileSync } = require('node:fs');
const { join } = require('node:path');
const { buildSchema, findBreakingChanges } = require('graphql');
const { ROOT, StepFailure, runScript } = require('./tools');

/** Checks that schema.graphql is what the code prints, and keeps every promise of the contract. */
async function checkSchema() {
  const emitted = await runScript('dist/src/cli.js', 'print-schema');
  const broken = brokenPromises(readFileSync(join(ROOT, 'test/contract/contract.graphql'), 'utf8'), emitted);
  if (broken.length > 0) throw new StepFailure(`The contract is broken:\n${broken.join('\n')}`);
  compareWithFile('schema.graphql', emitted);
}

/**
 * @param {string} contract
 * @param {string} emitted
 */
function brokenPromises(contract, emitted) {
  return findBreakingChanges(buildSchema(contract), buildSchema(emitted)).map(({ type, description }) => `${type}: ${description}`);
}

/**
 * Throws a StepFailure if a committed file differs from what the code prints.
 * @param {string} file
 * @param {string} emitted
 */
function compareWithFile(file, emitted) {
  if (!existsSync(join(ROOT, file))) throw new StepFailure(`${file} is missing.`);
  const difference = firstDifference(readFileSync(join(ROOT, file), 'utf8'), emitted);
  if (difference)
    throw new StepFailure(
      `${file} differs from what the code prints, from line ${difference.line} on:\n- ${difference.committed}\n+ ${difference.emitted}`,
    );
}

/**
 * @param {string} committed
 * @param {string} emitted
 */
function firstDifference(committed, emitted) {
  if (committed === emitted) return undefined;
  const [left, right] = [committed.split('\n'), emitted.split('\n')];
  const index = left.findIndex((line, at) => line !== right[at]);
  const at = index === -1 ? left.length : index;
  return { line: at + 1, committed: left[at] ?? '(the end of the file)', emitted: right[at] ?? '(the end)' };
}

module.exports = { brokenPromises, checkSchema, compareWithFile, firstDifference };
