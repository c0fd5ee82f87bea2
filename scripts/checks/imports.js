// @ts-check
const { StepFailure, runScript } = require('./tools');

/** Checks the import rules of .dependency-cruiser.cjs. */
async function checkImports() {
  const out = await runScript(
    'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
    '--config',
    '.dependency-cruiser.cjs',
    '--output-type',
    'err-long',
    'src',
    'ormconfig.ts',
  );
  const [, modules, dependencies] = /\((\d+) modules, (\d+) dependencies cruised\)/.exec(out) ?? [];
  // Without a parser for TypeScript, dependency-cruiser would find no import and report success.
  if (!modules || Number(dependencies) < Number(modules))
    throw new StepFailure(`dependency-cruiser found too few imports, so it cannot have read TypeScript:\n${out}`);
  return `${dependencies} imports`;
}

module.exports = { checkImports };
