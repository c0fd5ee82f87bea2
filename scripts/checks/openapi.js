// @ts-check
const { readFileSync } = require('node:fs');
const { resolve } = require('node:path');
const { Spectral } = require('@stoplight/spectral-core');
const { oas } = require('@stoplight/spectral-rulesets');
const { compareWithFile } = require('./generated');
const { ROOT, StepFailure, runScript, runTool } = require('./tools');

// Redocly's program would otherwise send statistics, and ask npm for a newer version.
process.env.REDOCLY_TELEMETRY = 'off';
process.env.REDOCLY_SUPPRESS_UPDATE_NOTICE = 'true';

/** Checks that openapi.json is what the code prints, and that the linters accept it. */
async function checkOpenapi() {
  compareWithFile('openapi.json', await runScript('dist/src/cli.js', 'print-openapi'));
  await lintWithRedocly('openapi.json');
  await lintWithSpectral('openapi.json');
}

/**
 * Checks a document with the recommended rules of Redocly. Warnings count as errors. The rule that wants a licence is off, because the API
 * has none.
 * @param {string} file from the repository's root
 */
async function lintWithRedocly(file) {
  await runTool('@redocly/cli/bin/cli.js', 'lint', file, '--extends=recommended-strict', '--skip-rule=info-license', '--format=stylish');
}

/**
 * Checks a document with the rules of Spectral for OpenAPI. Warnings count as errors.
 * @param {string} file from the repository's root
 */
async function lintWithSpectral(file) {
  const spectral = new Spectral();
  spectral.setRuleset(/** @type {import('@stoplight/spectral-core').RulesetDefinition} */ (/** @type {unknown} */ (oas)));
  const problems = await spectral.run(JSON.parse(readFileSync(resolve(ROOT, file), 'utf8')));
  const lines = problems.map(({ code, path, message }) => `${code} at ${path.join('.')}: ${message}`);
  if (lines.length > 0) throw new StepFailure(lines.join('\n'));
}

module.exports = { checkOpenapi, lintWithRedocly, lintWithSpectral };
