// @ts-check
const { spawn } = require('node:child_process');
const { join } = require('node:path');

const ROOT = join(__dirname, '..', '..');

/** A failed check. Its message names the fault. */
class StepFailure extends Error {}

/**
 * Returns the standard output of a Node script. Throws a StepFailure with its whole output if its exit code is not 0.
 * @param {string} script from the repository's root
 * @param {string[]} args
 * @returns {Promise<string>}
 */
function runScript(script, ...args) {
  return runProgram(process.execPath, join(ROOT, script), ...args);
}

/**
 * @param {string} program
 * @param {string[]} args
 * @returns {Promise<string>}
 */
function runProgram(program, ...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      out += text;
      all += text;
    });
    child.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => (all += text));
    child.once('error', (error) => reject(new StepFailure(`${program} cannot be run: ${error.message}`)));
    child.once('close', (code, signal) =>
      code === 0
        ? resolve(out)
        : reject(new StepFailure(all.trim() || `${[program, ...args].join(' ')} ended with ${code ?? signal} and printed nothing.`)),
    );
  });
}

/**
 * Runs a tool of node_modules and discards its output. Throws a StepFailure if its exit code is not 0.
 * @param {string} script below node_modules
 * @param {string[]} args
 * @returns {Promise<void>}
 */
async function runTool(script, ...args) {
  await runScript(join('node_modules', script), ...args);
}

/**
 * Loads a module of the build. It has no type, because `dist` may not exist when the types are checked.
 * @param {string} file below dist/src
 */
function built(file) {
  return require(join(ROOT, 'dist', 'src', file));
}

module.exports = { ROOT, StepFailure, built, runProgram, runScript, runTool };
