import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';

const SOURCE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

interface Results {
  violations: { id: string; impact: string | null; help: string; nodes: { target: unknown[]; failureSummary?: string }[] }[];
}

/** What axe finds serious or critical in the page as it stands: a line for each element, to be empty. No rule is left out. */
export async function barriers(page: Page): Promise<string[]> {
  // Evaluated by the browser's debugger, which no content security policy binds.
  await page.evaluate(`if (!window.axe) { ${SOURCE} }`);
  const { violations } = await page.evaluate<Results>('axe.run(document, { resultTypes: ["violations"] })');
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${(failureSummary ?? '').replace(/\s+/g, ' ')}`));
}
