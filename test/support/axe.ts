import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';

const SOURCE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

interface Results {
  violations: { id: string; impact: string | null; help: string; nodes: { target: unknown[]; failureSummary?: string }[] }[];
}

/**
 * Returns the serious and critical violations that axe finds in the page, in light and dark mode: one line for each element. In light
 * mode all rules run. In dark mode only the rules about colours run, because only the colours differ.
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
  // The browser's debugger evaluates this, so the page's content security policy does not apply.
  await page.evaluate(`if (!window.axe) { ${SOURCE} }`);
  const { violations: all } = await page.evaluate<Results>(`axe.run(document, { resultTypes: ["violations"]${only} })`);
  return all
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${(failureSummary ?? '').replace(/\s+/g, ' ')}`),
    );
}
