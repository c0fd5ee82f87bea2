import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { chromium, type BrowserContext, type Page } from 'playwright-core';

/** Faults that the browser saw during a test. Each list must be empty for a page without faults. */
export interface BrowserRecord {
  /** Requested addresses on hosts other than 127.0.0.1 and [::1]. They get no answer. */
  readonly foreignRequests: string[];
  /** Errors in the console, including answers of 400 and above and violations of the content security policy. */
  readonly consoleErrors: string[];
  /** Uncaught exceptions. */
  readonly pageErrors: string[];
  /** Requests that got no answer. */
  readonly failedRequests: string[];
}

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/**
 * Opens a new browser with an empty profile, hands its page to `use`, and closes it. Without a browser it prints that
 * nothing was tested and returns; where CI or REQUIRE_CHROMIUM=1 is set it throws instead, so that a skip is no success.
 */
export async function withBrowserPage(
  use: (page: Page, record: BrowserRecord) => Promise<void>,
  options: { colorScheme?: 'light' | 'dark' } = {},
): Promise<void> {
  const executablePath = findBrowser();
  if (!executablePath) {
    const missing = `No browser: set CHROMIUM_PATH or install one of ${NAMES.join(', ')}.`;
    if (process.env.REQUIRE_CHROMIUM === '1' || process.env.CI) throw new Error(missing);
    process.stderr.write(`\nSKIPPED, NOT TESTED: ${missing}\n`);
    return;
  }
  const profile = await mkdtemp(join(tmpdir(), 'tollgate-browser-'));
  try {
    const context = await openBrowser(executablePath, profile, options.colorScheme ?? 'light');
    try {
      const page = context.pages()[0] ?? (await context.newPage());
      await use(page, recordOf(context, page));
    } finally {
      await context.close();
    }
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

function findBrowser(): string | undefined {
  const chosen = process.env.CHROMIUM_PATH;
  if (chosen) return isExecutable(chosen) ? chosen : undefined;
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function openBrowser(executablePath: string, profile: string, colorScheme: 'light' | 'dark'): Promise<BrowserContext> {
  return chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    colorScheme,
    viewport: { width: 1280, height: 800 },
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      // Requests to other hosts fail on every machine, with or without a network.
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE ::1',
    ],
  });
}

function recordOf(context: BrowserContext, page: Page): BrowserRecord {
  const record: BrowserRecord = { foreignRequests: [], consoleErrors: [], pageErrors: [], failedRequests: [] };
  const noteForeign = (address: string): void => {
    const url = new URL(address);
    if (/^(https?|wss?):$/.test(url.protocol) && !['127.0.0.1', '[::1]'].includes(url.hostname)) record.foreignRequests.push(address);
  };
  context.on('request', (request) => noteForeign(request.url()));
  page.on('websocket', (socket) => noteForeign(socket.url()));
  context.on('requestfailed', (request) => {
    record.failedRequests.push(`${request.method()} ${request.url()}: ${request.failure()?.errorText ?? 'no reason given'}`);
  });
  context.on('console', (message) => {
    if (message.type() === 'error') record.consoleErrors.push(message.text());
  });
  context.on('weberror', (webError) => {
    record.pageErrors.push(webError.error().message);
  });
  return record;
}
