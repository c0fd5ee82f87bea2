import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSchema, isEnumType, isInputObjectType, isInterfaceType, isIntrospectionType, isObjectType } from 'graphql';
import Fastify from 'fastify';
import { describeSchema, docsOf } from '../src/schema';
import { registerDocs } from '../src/docs/server';
import { ERRORS } from '../src/errors';
import { html } from '../src/lib/html';
import { MANUAL } from '../src/lib/manual';
import { Names } from '../src/docs/names';
import { prose } from '../src/docs/prose';
import { openApiDocument } from '../src/rest/openapi/document';
import { barriers } from './support/axe';
import { withBrowserPage } from './support/browser';

const ROOT = join(__dirname, '..');
const server = Fastify();
let url: string;
let pages: Map<string, string>;
const schema = async () => buildSchema(await readFile(join(ROOT, 'schema.graphql'), 'utf8'));

beforeAll(async () => {
  registerDocs(server, docsOf(describeSchema()));
  url = await server.listen({ host: '127.0.0.1', port: 0 });
  const { body } = await server.inject('/docs/');
  const names = [...body.matchAll(/href="([a-z]+\.html)"/g)].map((match) => match[1] as string);
  pages = new Map(
    await Promise.all(names.map(async (name): Promise<[string, string]> => [name, (await server.inject(`/docs/${name}`)).body])),
  );
});

afterAll(() => server.close());

const idsOf = (text: string): string[] => [...text.matchAll(/ id="([^"]+)"/g)].map((match) => match[1] as string);

describe('the manual at /docs', () => {
  it('has every type, field, argument, enum value and error code', async () => {
    const ids = new Set([...pages.values()].flatMap(idsOf));
    const wanted = Object.values((await schema()).getTypeMap()).flatMap((type) => {
      if (isIntrospectionType(type)) return [];
      if (/^(Query|Mutation|Subscription)$/.test(type.name)) return isObjectType(type) ? Object.keys(type.getFields()) : [];
      if (isEnumType(type)) return [type.name, ...type.getValues().map(({ name }) => `${type.name}.${name}`)];
      const fields = isObjectType(type) || isInterfaceType(type) || isInputObjectType(type) ? Object.keys(type.getFields()) : [];
      return [type.name, ...fields.map((field) => `${type.name}.${field}`)];
    });
    expect(wanted.length).toBeGreaterThan(400);
    expect(wanted.filter((name) => !ids.has(name))).toEqual([]);
    expect([...Object.keys(ERRORS), ...MANUAL.graphqlErrors.map(({ code }) => code)].filter((code) => !ids.has(code))).toEqual([]);
  });

  it('has every REST route with its parameters, and every schema of a body', () => {
    const document = openApiDocument() as {
      paths: Record<string, Record<string, { parameters?: { name: string }[] }>>;
      components: { schemas: object };
    };
    const rest = pages.get('rest.html') ?? '';
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { parameters = [] }] of Object.entries(methods)) {
        expect(rest).toContain(`>${method.toUpperCase()} ${path}</h2>`);
        for (const { name } of parameters) expect(rest).toContain(`<code>${name}</code>`);
      }
    }
    expect(Object.keys(document.components.schemas)).not.toContain('undefined');
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1]);
    expect(Object.keys(document.components.schemas)).toEqual(expect.arrayContaining(references));
    for (const name of Object.keys(document.components.schemas)) expect(idsOf(rest)).toContain(name);
  });

  it('shows each operation of the tour with its root field', () => {
    const all = [...pages.values()].join('');
    for (const { document } of MANUAL.examples) expect(all).toContain(html`${document.trimEnd()}`.text);
  });

  it('has no broken link and no duplicate anchor', async () => {
    const outside = new Set<string>();
    for (const [name, text] of pages) {
      expect(new Set(idsOf(text)).size).toBe(idsOf(text).length);
      for (const [, address = ''] of text.matchAll(/<a [^>]*href="([^"]+)"/g)) {
        if (/^https?:/.test(address)) continue;
        const [file = '', anchor] = address.split('#');
        if (file.startsWith('../')) outside.add(file);
        else
          expect({
            name,
            address,
            there: pages.has(file || name) && (anchor === undefined || idsOf(pages.get(file || name) ?? '').includes(anchor)),
          }).toMatchObject({ there: true });
      }
    }
    expect([...outside].sort()).toEqual(['../graphql', '../openapi.json']);
  });

  it('needs no credential, allows no script, no other host and no frame, and is sent only once to a browser', async () => {
    const answer = await server.inject('/docs/mutations.html');
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    });
    expect(answer.headers['content-security-policy']).toMatch(
      /^default-src 'none'; style-src 'sha256-[^']+'; img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'$/,
    );
    expect(answer.body).not.toMatch(/<script|\son\w+=| style="/);
    const again = await server.inject({ url: '/docs/mutations.html', headers: { 'if-none-match': String(answer.headers.etag) } });
    expect([again.statusCode, again.body]).toEqual([304, '']);
    const compressed = await server.inject({ url: '/docs/mutations.html', headers: { 'accept-encoding': 'gzip' } });
    expect(compressed.headers['content-encoding']).toBe('gzip');
    expect(compressed.rawPayload.length).toBeLessThan(answer.rawPayload.length / 4);
  });

  it('is found without the slash, even behind a prefix of a proxy, and serves nothing else', async () => {
    const { statusCode, headers } = await server.inject('/docs');
    expect([statusCode, headers.location]).toEqual([302, 'docs/']);
    for (const name of ['nothing.html', 'constructor', '..%2fpackage.json'])
      expect((await server.inject(`/docs/${name}`)).statusCode).toBe(404);
  });

  it('is the same as in the folder that npm run docs writes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-docs-'));
    try {
      expect(existsSync(join(ROOT, 'dist/src/cli.js'))).toBe(true);
      spawnSync(process.execPath, [join(ROOT, 'dist/src/cli.js'), 'write-docs', folder]);
      expect((await readdir(folder)).sort()).toEqual([...pages.keys()].sort());
      expect(idsOf(await readFile(join(folder, 'types.html'), 'utf8')).sort()).toEqual(idsOf(pages.get('types.html') ?? '').sort());
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

it('a description can add only code, links and strong text to a page', async () => {
  const names = new Names(await schema(), []);
  const text = prose(
    '<b onclick="x">`<i>` [here](javascript:alert) [there](https://example.com/?a=1&b="2") `ApiKey` **<u>**\n\n`Query.key`',
    names,
  ).text;
  expect(text).toBe(
    '<p>&lt;b onclick=&quot;x&quot;&gt;<code>&lt;i&gt;</code> [here](javascript:alert) ' +
      '<a href="https://example.com/?a=1&amp;b=&quot;2&quot;">there</a> ' +
      '<a href="types.html#ApiKey"><code>ApiKey</code></a> <strong>&lt;u&gt;</strong></p>\n' +
      '<p><a href="queries.html#key"><code>Query.key</code></a></p>\n',
  );
});

describe('the manual in a browser', () => {
  jest.setTimeout(60_000);

  it('has no serious barrier according to axe, works with the keyboard and on narrow screens, and requests no other host', async () => {
    await withBrowserPage(async (page, record) => {
      for (const name of pages.keys()) {
        await page.goto(`${url}/docs/${name}`);
        // The sections of a long page are alike. Checking a few of them finds as much, and is much faster.
        const surplus = ['section:nth-of-type(n + 6)', '.names li:nth-child(n + 20)', 'tbody tr:nth-child(n + 20)'].join(', ');
        await page.evaluate(`document.querySelectorAll("${surplus}").forEach((section) => section.remove())`);
        expect({ name, barriers: await barriers(page) }).toEqual({ name, barriers: [] });
      }
      await page.goto(`${url}/docs`);
      expect(page.url()).toBe(`${url}/docs/`);
      await page.keyboard.press('Tab');
      await page.getByRole('link', { name: 'Skip to the content' }).and(page.locator(':focus')).waitFor();
      await page.keyboard.press('Enter');
      await page.keyboard.press('Tab');
      await page.locator('main a:focus').waitFor();
      await page.getByRole('link', { name: 'mintKey', exact: true }).press('Enter');
      await page.waitForURL('**/mutations.html#mintKey');
      await page.locator('section:has(> #mintKey)').getByRole('link', { name: 'MintKeyInput' }).first().press('Enter');
      await page.waitForURL('**/inputs.html#MintKeyInput');
      await page.setViewportSize({ width: 360, height: 740 });
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
      expect(record).toEqual({ foreignRequests: [], consoleErrors: [], pageErrors: [], failedRequests: [] });
    });
  });
});
