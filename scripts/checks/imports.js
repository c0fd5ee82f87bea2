// @ts-check
const { StepFailure, runScript } = require('./tools');

/** The import rules hold. */
async function checkImports() {
  const out = await runScript('node_modules/dependency-cruiser/bin/dependency-cruise.mjs', '--config', '.dependency-cruiser.cjs', '--output-type', 'err-long', 'src', 'ormconfig.ts');
  const [, modules, dependencies] = /\((\d+) modules, (\d+) dependencies cruised\)/.exec(out) ?? [];
  // Without a parser for TypeScript it would find no import at all, and praise that.
  if (!modules || Number(dependencies) < Number(modules)) throw new StepFailure(`It found too few imports to have read TypeScript:\n${out}`);
  return `${dependencies} imports`;
}

module.exports = { checkImports };
