// @ts-check
// A reporter of Jest: prints the ten slowest test files of each database, and the sum of all.
// `npm test -- --reporters=default --reporters=./scripts/test-times.js`

const { basename } = require('node:path');

const SHOWN = 10;
const seconds = (/** @type {number} */ ms) => (ms / 1000).toFixed(1).padStart(7);

module.exports = class TestTimes {
  /** @type {Map<string, { file: string, ms: number }[]>} Times of files, by database. */
  times = new Map();

  /** @param {import('@jest/test-result').Test} test @param {import('@jest/test-result').TestResult} result */
  onTestResult({ path, context }, { perfStats }) {
    const database = context.config.displayName?.name ?? 'all';
    const files = this.times.get(database) ?? [];
    files.push({ file: basename(path), ms: perfStats.end - perfStats.start });
    this.times.set(database, files);
  }

  onRunComplete() {
    for (const [database, files] of this.times) {
      const slowest = files.sort((one, other) => other.ms - one.ms).slice(0, SHOWN);
      const sumMs = files.reduce((sum, { ms }) => sum + ms, 0);
      process.stdout.write(`\n${database}: ${files.length} files, seconds of the slowest\n`);
      for (const { file, ms } of slowest) process.stdout.write(`${seconds(ms)}  ${file}\n`);
      process.stdout.write(`${seconds(sumMs)}  all files, one after another\n`);
    }
  }
};
