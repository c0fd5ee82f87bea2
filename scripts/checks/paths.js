// @ts-check
const { readFileSync, statSync } = require('node:fs');
const { join } = require('node:path');
const { ROOT, StepFailure, runProgram } = require('./tools');

// Matches a home folder or a container's work folder at the start of a path, but not `https://host/home/` or `../work/`.
const MACHINE_PATH = /(?<![\w.~%)\]}-])(?:file:\/\/)?\/(?:home|root|work|Users)\/[\w.~-]+|\b[A-Z]:\\+Users\\+\w+/;

/** Checks that no file that git tracks or would add names a folder of the machine that it was written on. */
async function checkPaths() {
  // The clone may belong to another user than this process, which git refuses otherwise.
  const listed = await runProgram('git', '-c', 'safe.directory=*', 'ls-files', '-z', '--cached', '--others', '--exclude-standard');
  const files = listed.split('\0').filter((file) => file !== '' && statSync(join(ROOT, file), { throwIfNoEntry: false })?.isFile());
  const found = files.flatMap((file) =>
    machinePaths(readFileSync(join(ROOT, file), 'utf8')).map(({ line, path }) => `${file}:${line}: ${path}`),
  );
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
