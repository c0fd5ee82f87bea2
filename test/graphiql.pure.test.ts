import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { buildSchema, isInputObjectType, isObjectType, parse, validate } from 'graphql';
import type { Page, Response as BrowserResponse } from 'playwright-core';
import { DEFAULT_OPERATION } from '../src/graphiql/graphiql';
import { SECRET_ARGUMENT } from '../src/graphiql/graphiql-storage';
import { createTestApp } from './support/app';
import { withBrowserPage } from './support/browser';
import { until } from './support/until';

type TestApp = Awaited<ReturnType<typeof createTestApp>>;

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(async () => {
  await app.close();
});

const getPage = (): Promise<Response> => fetch(`${app.url}/graphql`, { headers: { accept: 'text/html,application/xhtml+xml' } });

/** The addresses of all files that the page loads, resolved as a browser does. */
async function addressesInPage(): Promise<string[]> {
  const html = await (await getPage()).text();
  const references = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
  return references.filter((reference) => !reference.startsWith('data:')).map((reference) => new URL(reference, `${app.url}/graphql`).href);
}

describe('the GraphiQL page', () => {
  it('is sent to browsers, with a policy that forbids inline scripts, other hosts and frames', async () => {
    const response = await getPage();
    const html = await response.text();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(response.headers.get('x-frame-options')).toBe('DENY');
    expect(response.headers.get('referrer-policy')).toBe('no-referrer');
    const policy = response.headers.get('content-security-policy')?.split('; ');
    expect(policy).toEqual(
      expect.arrayContaining(["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]),
    );
    expect(html).toContain('<title>Tollgate GraphiQL</title>');
    expect(html).toContain('<html lang="en">');
    expect(html).toContain('<noscript>');
    expect(html).not.toMatch(/<script(?![^>]*\ssrc=)/);
  });

  it('loads only files of this server, and browsers may cache each version for ever', async () => {
    const addresses = await addressesInPage();
    expect(addresses.map((address) => new URL(address).pathname).sort()).toEqual([
      '/graphql/assets/access.js',
      '/graphql/assets/examples.js',
      '/graphql/assets/graphiql.min.css',
      '/graphql/assets/graphiql.min.js',
      '/graphql/assets/page.css',
      '/graphql/assets/react-dom.production.min.js',
      '/graphql/assets/react.production.min.js',
      '/graphql/assets/start.js',
      '/graphql/assets/storage.js',
    ]);
    for (const address of addresses) {
      expect(new URL(address).origin).toBe(app.url);
      const response = await fetch(address);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe(
        address.includes('.css?') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8',
      );
      expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    }
  });

  it('has a default operation that is valid in the contract', () => {
    const contract = buildSchema(readFileSync(join(__dirname, 'contract/contract.graphql'), 'utf8'));
    expect(validate(contract, parse(DEFAULT_OPERATION))).toEqual([]);
  });
});

describe("the page's files", () => {
  const file = (headers: Record<string, string>, query = ''): Promise<Response> =>
    fetch(`${app.url}/graphql/assets/graphiql.min.js${query}`, { headers });

  it('are compressed for clients that accept gzip, and have the same content for others', async () => {
    const plain = await file({ 'accept-encoding': 'identity' });
    const compressed = await file({ 'accept-encoding': 'br;q=0.5, gzip' });
    const refused = await file({ 'accept-encoding': 'gzip;q=0' });
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(refused.headers.get('content-encoding')).toBeNull();
    expect(compressed.headers.get('content-encoding')).toBe('gzip');
    expect(compressed.headers.get('vary')).toBe('Accept-Encoding');
    const body = Buffer.from(await plain.arrayBuffer());
    expect(Buffer.from(await compressed.arrayBuffer()).equals(body)).toBe(true);
    expect(Number(compressed.headers.get('content-length'))).toBeLessThan(gzipSync(body, { level: 1 }).length);
  });

  it('are not sent again to clients that have them, and are revalidated if the address has no version or another one', async () => {
    const first = await file({});
    const etag = first.headers.get('etag') ?? '';
    expect(etag).not.toBe('');
    expect(first.headers.get('cache-control')).toBe('no-cache');
    expect((await file({}, '?v=another')).headers.get('cache-control')).toBe('no-cache');
    const again = await file({ 'if-none-match': etag });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe('');
    expect((await file({ 'if-none-match': '"another"' })).status).toBe(200);
  });

  it('are served, and other files are not found', async () => {
    for (const name of ['package.json', 'graphiql.min.js.map', '..%2f..%2fpackage.json', 'constructor', '']) {
      const response = await fetch(`${app.url}/graphql/assets/${name}`);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'NOT_FOUND' } });
    }
  });
});

describe('GraphiQL in a browser', () => {
  jest.setTimeout(60_000);

  const headerEditor = (page: Page) => page.locator('section[aria-label="Headers"] .CodeMirror:visible');

  async function open(page: Page): Promise<void> {
    await page.goto(`${app.url}/graphql`);
    await headerEditor(page).waitFor();
    await page.getByRole('button', { name: 'Show Documentation Explorer' }).waitFor();
  }

  async function enterHeaders(page: Page, text: string): Promise<void> {
    await headerEditor(page).click();
    await page.keyboard.press('Control+A');
    // Inserts the text like a paste, because the editor adds closing brackets to typed text.
    await page.keyboard.insertText(text);
  }

  /** The server's answer to the operation that `act` starts. */
  async function answerTo(page: Page, act: () => Promise<void>): Promise<BrowserResponse> {
    const answer = page.waitForResponse((response) => response.url() === `${app.url}/graphql` && response.request().method() === 'POST');
    await act();
    return answer;
  }

  const pressExecute = (page: Page) => () => page.getByRole('button', { name: /^Execute query/ }).click();

  const rootKeyHeaders = (): string => JSON.stringify({ 'X-Api-Key': app.rootKey });

  it('runs the default operation with a key from the header editor, by button and by Ctrl-Enter, and contacts no other host', async () => {
    await withBrowserPage(async (page, record) => {
      await open(page);
      expect(await page.title()).toBe('Tollgate GraphiQL');
      expect(await headerEditor(page).innerText()).toContain('"X-Api-Key": ""');

      await enterHeaders(page, rootKeyHeaders());
      const byButton = await answerTo(page, pressExecute(page));
      expect(byButton.status()).toBe(200);
      expect(byButton.request().headers()['x-api-key']).toBe(app.rootKey);
      const answer: unknown = await byButton.json();
      expect(answer).not.toHaveProperty('errors');
      expect(answer).toMatchObject({
        data: { __typename: 'Query', viewer: { kind: 'OPERATOR' }, workspaces: { nodes: expect.any(Array) } },
      });
      await page.locator('.result-window').getByText('"OPERATOR"', { exact: true }).waitFor();

      const byKeyboard = await answerTo(page, async () => {
        await page.locator('.graphiql-query-editor .CodeMirror').click();
        await page.keyboard.press('Control+Enter');
      });
      expect(await byKeyboard.json()).toMatchObject({ data: { viewer: { kind: 'OPERATOR' } } });

      expect(record).toEqual({ foreignRequests: [], consoleErrors: [], pageErrors: [], failedRequests: [] });
    });
  });

  it('shows the documentation without a credential, and its dialogs do not violate the policy', async () => {
    await withBrowserPage(
      async (page, record) => {
        await open(page);
        await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
        const docs = page.locator('.graphiql-doc-explorer');
        await docs.getByRole('link', { name: 'Mutation', exact: true }).click();
        await docs.getByRole('link', { name: 'revokeKey', exact: true }).click();
        await docs.getByText('Revoke a key and its secrets').waitFor();

        await page.getByRole('button', { name: 'Open settings dialog' }).click();
        await page.getByText('Clear storage').waitFor();
        await page.keyboard.press('Escape');
        await page.getByRole('button', { name: 'Open short keys dialog' }).click();
        await page.getByRole('dialog').getByText('Search in documentation').waitFor();

        expect(record).toEqual({ foreignRequests: [], consoleErrors: [], pageErrors: [], failedRequests: [] });
      },
      { colorScheme: 'dark' },
    );
  });

  it('shows the error of an operation without a credential', async () => {
    await withBrowserPage(async (page) => {
      await open(page);
      const refused = await answerTo(page, pressExecute(page));
      expect(refused.status()).toBe(401);
      await page.locator('.result-window').getByText('"UNAUTHENTICATED"').waitFor();
    });
  });

  const stored = (page: Page): Promise<string> => page.evaluate<string>('JSON.stringify(localStorage)');

  /** Waits for the storage, because GraphiQL writes half a second after the last change. */
  async function untilStored(page: Page, test: (text: string) => boolean): Promise<void> {
    const deadline = Date.now() + 5_000;
    while (!test(await stored(page))) {
      if (Date.now() > deadline) throw new Error(`The storage still is ${await stored(page)}`);
      await page.waitForTimeout(50);
    }
  }

  /** The number of visible tabs. GraphiQL shows them only if there are at least two. */
  const tabs = (page: Page): Promise<number> => page.locator('.graphiql-tab').count();

  it('copies the headers to new tabs, but never stores them: not in a tab, not in the history, not across a reload', async () => {
    await withBrowserPage(async (page) => {
      await open(page);
      await enterHeaders(page, rootKeyHeaders());
      expect((await answerTo(page, pressExecute(page))).status()).toBe(200);
      await page.getByRole('button', { name: 'Add tab' }).click();
      await page.locator('.graphiql-tab').nth(1).waitFor();
      await until(async () => (await headerEditor(page).innerText()).includes(app.rootKey), 'the headers in the new tab');
      await untilStored(page, (text) => text.includes('graphiql:queries') && text.includes('graphiql:tabState'));
      expect(await stored(page)).not.toContain(app.rootKey);
      await open(page);
      expect(await headerEditor(page).innerText()).toContain('"X-Api-Key": ""');
    });
  });

  it('shows the open tab again after a reload, and adds no tab', async () => {
    await withBrowserPage(async (page) => {
      await open(page);
      await page.locator('.graphiql-query-editor .CodeMirror').click();
      await page.keyboard.press('Control+A');
      await page.keyboard.insertText('query Mine { __typename }');
      await untilStored(page, (text) => text.includes('query Mine'));
      for (let reload = 0; reload < 3; reload += 1) {
        await open(page);
        expect(await page.locator('.graphiql-query-editor .CodeMirror').innerText()).toContain('query Mine');
        expect(await tabs(page)).toBe(0);
      }
    });
  });

  it('deletes headers and operations with a secret that earlier versions of the page stored', async () => {
    await withBrowserPage(async (page) => {
      await open(page);
      const tab = (query: string, variables: string) => ({
        id: query,
        title: 'T',
        query,
        variables,
        headers: rootKeyHeaders(),
        operationName: null,
        response: null,
      });
      const tabs = [
        tab('{ __typename }', ''),
        tab('mutation ($input: SignInInput!) { signIn(input: $input) { viewer { id } } }', '{ "input": { "password": "hunter-2" } }'),
      ];
      const items = {
        'graphiql:tabState': JSON.stringify({ activeTabIndex: 1, tabs }),
        'graphiql:queries': JSON.stringify({ queries: tabs }),
        'graphiql:variables': '{ "input": { "password": "hunter-2" } }',
        'graphiql:headers': rootKeyHeaders(),
        'graphiql:favorites': 'not JSON: hunter-2',
      };
      await page.evaluate(`Object.entries(${JSON.stringify(items)}).forEach(([name, value]) => localStorage.setItem(name, value))`);
      await open(page);
      const text = await stored(page);
      expect(text).toContain('__typename');
      for (const secret of [app.rootKey, 'hunter-2']) expect(text).not.toContain(secret);
    });
  });
});

describe('an argument that carries a secret', () => {
  const NAMES = ['password', 'newPassword', 'currentPassword', 'code', 'token', 'clientSecret', 'apiKey'];

  it.each(NAMES)('is recognised by its name: %s', (name) => {
    for (const text of [
      `f(${name}: "x")`,
      `f(input: {a: 1,${name}:"x"})`,
      `{ "${name}": "x" }`,
      `{"a":{"${name}" : "x"}}`,
      `query ($${name}: String!) { f }`,
    ]) {
      expect([text, SECRET_ARGUMENT.test(text)]).toEqual([text, true]);
    }
  });

  it('is not confused with similar names', () => {
    const harmless = [
      'mutation { mintKey(input: $input) { secret key { id } } }',
      '{ "errorCode": "X" }',
      'f(filter: { errorCode: [X] })',
      'f(keyId: "x")',
      'f { code }',
    ];
    for (const text of harmless) expect([text, SECRET_ARGUMENT.test(text)]).toEqual([text, false]);
  });

  it('is recognised for every secret argument of the schema', () => {
    const types = Object.values(buildSchema(readFileSync(join(__dirname, '../schema.graphql'), 'utf8')).getTypeMap());
    const inputs = types.flatMap((type) => (isInputObjectType(type) ? Object.keys(type.getFields()) : []));
    const fields = types.flatMap((type) => (isObjectType(type) ? Object.values(type.getFields()) : []));
    const names = new Set([...inputs, ...fields.flatMap(({ args }) => args.map(({ name }) => name))]);
    const suspicious = [...names].filter((name) => /passw|passphrase|secret|token|code|credential|pepper/i.test(name));
    expect(suspicious.filter((name) => !SECRET_ARGUMENT.test(`${name}:`))).toEqual(['passCredential', 'errorCode']);
  });
});
