import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brokenPromises, firstDifference } from '../scripts/checks/generated';
import { compareErrors } from '../scripts/checks/errors';
import { machinePaths } from '../scripts/checks/paths';

// Tests the checks of `npm run check` themselves, because a check that finds nothing any more would look like a success.

describe('the table of errors', () => {
  const errors = { NOT_FOUND: { kind: 'NOT_FOUND' }, UNKNOWN_ACTION: { kind: 'NOT_FOUND' }, CONFLICT: { kind: 'CONFLICT' } };
  const page = (...rows: string[]) =>
    ['# Errors', '## REST', '| HTTP | status | code |', '|---|---|---|', ...rows, '## GraphQL', '| `CONFLICT` | taken |'].join('\n');
  const first = '| 404 | `NOT_FOUND` | `NOT_FOUND` | no such route |';
  const second = '| 404 | `NOT_FOUND` | `UNKNOWN_ACTION` | none enabled |';

  it('passes if docs/errors.md and the code agree; codes that only GraphQL has are in a table of GraphQL', () => {
    expect(compareErrors(page(first, second), errors)).toEqual([]);
  });

  it.each([
    ['a code that the page lacks', [first], 'UNKNOWN_ACTION of src/errors.ts is in no row of docs/errors.md.'],
    ['a code that the code lacks', [first, second, '| 410 | `GONE` | `GONE` | |'], 'GONE of docs/errors.md is not in src/errors.ts.'],
    [
      'a code of another kind',
      [first, second.replace('NOT_FOUND', 'CONFLICT')],
      'UNKNOWN_ACTION is NOT_FOUND in src/errors.ts and CONFLICT in docs/errors.md.',
    ],
    ['a code in two rows', [first, second, first], 'docs/errors.md has NOT_FOUND in two rows.'],
  ])('refuses %s', (_case, rows, problem) => {
    expect(compareErrors(page(...rows), errors)).toEqual([problem]);
  });

  it('refuses a page without the table', () => {
    expect(compareErrors('# T\n', errors)).toHaveLength(1);
    expect(compareErrors('# Errors\n## REST\nnone\n', errors)).toHaveLength(1);
  });
});

describe('generated files', () => {
  const contract = 'enum Kind { A } type Query { "One." a(first: Int): String! kind: Kind }';

  it('may add to the contract', () => {
    expect(brokenPromises(contract, 'enum Kind { A B } type Query { a(first: Int, last: Int): String! b: Int kind: Kind }')).toEqual([]);
  });

  it('may not remove, rename or loosen a promise of the contract', () => {
    expect(brokenPromises(contract, 'enum Kind { B } type Query { a(first: Int!): String kind: Kind }')).toHaveLength(3);
  });

  it('differ at the first different line, or at the end of the shorter text', () => {
    expect(firstDifference('a\nb\n', 'a\nb\n')).toBeUndefined();
    expect(firstDifference('a\nb\n', 'a\nc\n')).toEqual({ line: 2, committed: 'b', emitted: 'c' });
    expect(firstDifference('a\n', 'a\nb\n')).toMatchObject({ line: 2, emitted: 'b' });
    expect(firstDifference('a\nb', 'a')).toMatchObject({ line: 2, committed: 'b' });
  });
});

describe('a path of a private machine', () => {
  // Joined here, so that this file does not contain such a path
  const home = ['', 'home', 'ada', 'tollgate'].join('/');

  it.each([home, `see ${home}.`, `"${home}"`, `file://${home}`, ['', 'root', 'x'].join('/'), ['C:', 'Users', 'ada'].join('\\')])(
    'is found in %p',
    (text) => {
      expect(machinePaths(`fine\n${text}`)).toMatchObject([{ line: 2 }]);
    },
  );

  it.each([`https://example.com${home}`, `.${home}`, `..${home}`, `$HOME${home}`, '/homepage', '/workspaces/1'])('is not %p', (text) => {
    expect(machinePaths(text)).toEqual([]);
  });
});

describe('the lint of the schema', () => {
  const ROOT = join(__dirname, '..');
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-lint-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const lint = (schema: string): string[] => {
    const file = join(folder, 'schema.graphql');
    writeFileSync(file, schema);
    const options = [
      '--stdin',
      '--stdin-filename',
      'schema.graphql',
      '--parser-options',
      `graphQLConfig:{schema: "${file}"}`,
      '--format',
      'json',
    ];
    const { stdout } = spawnSync(process.execPath, [join(ROOT, 'node_modules/eslint/bin/eslint.js'), ...options], {
      cwd: ROOT,
      input: schema,
      encoding: 'utf8',
    });
    const [result] = JSON.parse(stdout) as { messages: { ruleId: string | null }[] }[];
    return [...new Set(result?.messages.map(({ ruleId }) => String(ruleId).replace('@graphql-eslint/', '')))].sort();
  };
  const schema = readFileSync(join(ROOT, 'schema.graphql'), 'utf8');

  it('finds nothing in the schema of the code, and finds every kind of fault in a schema that has them all', () => {
    expect(lint(schema)).toEqual([]);
    const broken = schema
      .replace('\n  key(', '\n  getKey(') // a useless verb in the name of a query
      .replace('\n  createRole(', '\n  CreateRole(') // a wrong case
      .replace('input: MintKeyInput!', 'data: MintKeyInput!') // an unusual name of an input
      .replace('): RevokeKeyPayload', '): Boolean') // no payload type, so no field can be added later
      .replace('"""Its wallet. Requires `read.wallet`."""', '') // no description
      .replace('edges: [ActionEdge!]!', 'edges: ActionEdge!') // against the specification of Relay
      .replace('cursor: String!', 'cursor: [Int!]')
      .replace('endCursor: String\n', 'endCursor: [Int]\n')
      .replace('hint: String!', 'hint: String! @deprecated(reason: "Use id.")'); // a deprecation without a day
    expect(lint(broken)).toEqual([
      'house/deprecation-date',
      'input-name',
      'naming-convention',
      'no-scalar-result-type-on-mutation',
      'no-unreachable-types',
      'relay-connection-types',
      'relay-edge-types',
      'relay-page-info',
      'require-description',
    ]);
  });
});

describe('the linters of the OpenAPI document', () => {
  const ROOT = join(__dirname, '..');
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-openapi-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  /** Returns what a linter says about a document, or nothing. */
  const lint = (linter: 'lintWithRedocly' | 'lintWithSpectral', document: unknown): string => {
    const file = join(folder, 'openapi.json');
    writeFileSync(file, JSON.stringify(document));
    const script = `require('./scripts/checks/openapi').${linter}(process.argv[1]).catch(({ message }) => console.log(message))`;
    return spawnSync(process.execPath, ['-e', script, file], { cwd: ROOT, encoding: 'utf8' }).stdout;
  };
  const { paths, components, ...rest } = JSON.parse(readFileSync(join(ROOT, 'openapi.json'), 'utf8'));

  // `npm run check` proves that the whole document of the code is accepted
  it.each(['lintWithRedocly', 'lintWithSpectral'] as const)('%s refuses faults, and what is only a warning', (linter) => {
    const { '/healthz': health, '/readyz': ready } = JSON.parse(JSON.stringify(paths));
    ready.get.operationId = health.get.operationId;
    const schemas = { ...components.schemas, Unused: { type: 'string' } };
    const problems = lint(linter, { ...rest, paths: { '/healthz': health, '/readyz': ready }, components: { ...components, schemas } });
    expect(problems).toMatch(/Unused/);
    expect(problems).toMatch(/operation-?id/i);
  }, 120_000);
});
