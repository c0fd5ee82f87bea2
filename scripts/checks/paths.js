// @ts-check
const { readFileSync, statSync } = require('node:fs');
const { join } = require('node:path');
const { ROOT, StepFailure, runProgram } = require('./tools');

// A home folder or a container's work folder at the start of a path; `https://host/home/` and `../work/` are none.
const MACHINE_PATH = /(?<![\w.~%)\]}-])(?:file:\/\/)?\/(?:home|root|work|Users)\/[\w.~-]+|\b[A-Z]:\\+Users\\+\w+/;

/** No file that is in the repository, or about to be, names a folder of the machine that it was written on. */
async function checkPaths() {
  // The clone may belong to another user than the one who checks.
  const listed = await runProgram('git', '-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard');
  const files = listed.split('\0').filter((file) => file !== '' && statSync(join(ROOT, file), { throwIfNoEntry: false })?.isFile());
  const found = files.flatMap((file) => machinePaths(readFileSync(join(ROOT, file), 'utf8')).map(({ line, path }) => `${file}:${line}: ${path}`));
  if (found.length > 0) throw new StepFailure(found.join('\n'));
  return `${files.length} files`;
}

/**
 * @param {string} text
 * @returns {{ line: number, path: string }[]}
 */
function machinePaths(text) {
  if (text.includes('\0')) return []; // not text
  return text.split('\n').flatMap((content, index) => {
    const match = MACHINE_PATH.exec(content);
    return match ? [{ line: index + 1, path: match[0] }] : [];
  });
}

module.exports = { checkPaths, machinePaths };
