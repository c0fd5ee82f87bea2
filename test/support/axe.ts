import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';

const SOURCE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

interface Results {
  violations: { id: string; impact: string | null; help: string; nodes: { target: unknown[]; failureSummary?: string }[] }[];
}

/**
 * What axe finds serious or critical in the page as it stands, light and dark: a line for each element, to be empty. No rule is left out; in
 * the dark nothing but colours is another than in the light.
 */
export async function barriers(page: Page): Promise<string[]> {
  const found: string[] = [];
  for (const [colorScheme, only] of [['light', ''], ['dark', ', runOnly: ["color-contrast", "link-in-text-block"]']] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    found.push(...(await violations(page, only)).map((barrier) => `${colorScheme}: ${barrier}`));
  }
  return found;
}

async function violations(page: Page, only: string): Promise<string[]> {
  // Evaluated by the browser's debugger, which no content security policy binds.
  await page.evaluate(`if (!window.axe) { ${SOURCE} }`);
  const { violations: all } = await page.evaluate<Results>(`axe.run(document, { resultTypes: ["violations"]${only} })`);
  return all
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${(failureSummary ?? '').replace(/\s+/g, ' ')}`));
}
