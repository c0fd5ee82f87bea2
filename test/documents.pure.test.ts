import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildSchema, parse } from 'graphql';
import { getMetadataArgsStorage } from 'typeorm';
import { loadConfig } from '../src/config';
import { readDocuments } from '../scripts/checks/documents';
import { ERRORS, type ErrorCode } from '../src/errors';
import { entities } from '../src/entities';
import { DAY_MS } from '../src/lib/time';
import { httpStatusOf } from '../src/rest/status';
import { blocksOf, codeOf, rowsOf, sectionOf } from './support/markdown';

// Compares the tables, trees and lists of the documents with the code, in both directions.

const ROOT = join(__dirname, '..');
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8');
const README = read('README.md');
const MANUAL = readDocuments();
const DOCUMENTS = [...MANUAL.map(({ file }) => file), 'ARCHITECTURE.md', 'CONTRIBUTING.md'];

const sourceFiles = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
const sources = sourceFiles.filter((file) => file.endsWith('.ts')).map((file) => read(join('src', file)));

/** The texts that a cell shows as code. */
const coded = (cell: string | undefined): string[] => codeOf(cell ?? '');
const numberIn = (text: string): number => Number(text.replace(/,/g, ''));

interface Manifest {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  overrides: Record<string, string>;
}
const manifest = JSON.parse(read('package.json')) as Manifest;

describe('the first screen of README.md', () => {
  it('has the two lines that CI runs, word for word', () => {
    const shell = blocksOf(README).filter(({ language }) => language === 'sh');
    expect(shell.filter(({ text }) => text.includes('npm ci')).map(({ text }) => text)).toEqual([
      'npm ci && npm start\n',
      'npm ci && npm test\n',
    ]);
    const commands = read('.ci/run')
      .split('\n')
      .flatMap((line) => /^step '[^']*' (.*)$/.exec(line)?.[1] ?? []);
    expect(commands).toEqual(expect.arrayContaining(['npm ci', 'node scripts/ci-first-command.js', 'npm test']));
    expect(commands.indexOf('npm ci')).toBeLessThan(commands.indexOf('npm test'));
  });
});

describe('the configuration in docs/operation.md', () => {
  const rows = rowsOf(sectionOf(read('docs/operation.md'), 'Configuration')).map(([variable, meaning = '', byDefault = '']) => ({
    name: coded(variable)[0] as string,
    meaning,
    byDefault,
  }));
  const documented = (name: string) => rows.find((row) => row.name === name);
  const required = { ROOT_KEY: 'r'.repeat(32), KEY_PEPPER: 'p'.repeat(32) };

  it('lists exactly the variables that the code reads', () => {
    const [, table = ''] = /const environment = z\.object\(\{\n([\s\S]*?)\n\}\);/.exec(read('src/config.ts')) ?? [];
    const inCode = [...table.matchAll(/^ {2}([A-Z][A-Z0-9_]*):/gm)].map((match) => match[1]);
    expect(inCode.length).toBeGreaterThan(10);
    expect(rows.map(({ name }) => name).sort()).toEqual(inCode.sort());
  });

  it.each(rows)('has the correct default of $name', ({ name, byDefault }) => {
    if (byDefault.startsWith('`')) {
      expect(loadConfig({ [name]: coded(byDefault)[0] })).toEqual(loadConfig({}));
      return;
    }
    expect(byDefault).toMatch(/^none/);
    const property = name.toLowerCase().replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const values = loadConfig({}) as unknown as Record<string, unknown>;
    const unset = name === 'UPSTREAM_SIGNING_SECRET' ? values.upstreamSigningSecrets : values[property];
    expect(unset ?? []).toEqual([]);
  });

  it.each(
    rows.flatMap(({ name, meaning }) => [...meaning.matchAll(/([\d,]+) to ([\d,]*\d)/g)].map(([, min, max]) => ({ name, min, max }))),
  )('has the correct range of $name', ({ name, min, max }) => {
    const [from, to] = [numberIn(min as string), numberIn(max as string)];
    if (name === 'UPSTREAM_SIGNING_SECRET') {
      const secret = (bytes: number) => ({ UPSTREAM_SIGNING_SECRET: `whsec_${Buffer.alloc(bytes, 1).toString('base64')}` });
      for (const bytes of [from, to]) expect(() => loadConfig(secret(bytes))).not.toThrow();
      for (const bytes of [from - 1, to + 1]) expect(() => loadConfig(secret(bytes))).toThrow(name);
      return;
    }
    for (const value of [from, to]) expect(() => loadConfig({ [name]: String(value) })).not.toThrow();
    for (const value of [from - 1, to + 1]) expect(() => loadConfig({ [name]: String(value) })).toThrow(name);
  });

  it('ignores blanks and line ends around a value', () => {
    const values = {
      ...required,
      DATABASE_URL: 'sqlite:x.db',
      HOST: '::1',
      PUBLIC_URL: 'https://a.example',
      MAIL_FROM: 'a@example.com',
      LOG_LEVEL: 'warn',
      DEMO: 'true',
    };
    for (const end of ['\n', '\r', '\r\n', ' ', '\t']) {
      const padded = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, ` ${value}${end}`]));
      expect(loadConfig(padded)).toEqual(loadConfig(values));
      expect(loadConfig({ PORT: end })).toEqual(loadConfig({}));
    }
    expect(() => loadConfig({ ROOT_KEY: `${required.ROOT_KEY}\n${required.ROOT_KEY}` })).toThrow(
      'ROOT_KEY must contain only printable ASCII characters',
    );
  });

  it('names the required variables and when they are required', () => {
    expect(documented('NODE_ENV')?.meaning).toMatch(/`production`.*`ROOT_KEY` or `KEY_PEPPER` is refused/);
    for (const missing of ['ROOT_KEY', 'KEY_PEPPER'])
      expect(() => loadConfig({ NODE_ENV: 'production', ...required, [missing]: '' })).toThrow(missing);
    expect(documented('KEY_PEPPER')?.meaning).toContain('Required on MySQL and MariaDB');
    expect(() => loadConfig({ DATABASE_URL: 'mysql://user@host/database' })).toThrow('KEY_PEPPER');
    expect(loadConfig({ DATABASE_URL: 'sqlite:other.db' }).demo).toBe(false);
  });
});

it('the speed figures in README.md are the output of the bench', () => {
  const tables = sectionOf(README, 'Speed').match(/(?:^\|.*\n)+/gm) ?? [];
  expect(tables).toHaveLength(2);
  for (const table of tables) expect(read('bench/RESULTS.md')).toContain(table);
});

describe('the limits in docs/limits.md', () => {
  const rows = rowsOf(read('docs/limits.md')).map(([, value = '', constant]) => ({ constant: coded(constant)[0] as string, value }));

  it.each(rows)('has the value of $constant in the code', ({ constant, value }) => {
    const found = sources.flatMap((source) => new RegExp(`^(?:export )?const ${constant} = ([^;]+);`, 'm').exec(source)?.[1] ?? []);
    expect(found).toHaveLength(1);
    expect(numberIn(/[\d,]+/.exec(value)?.[0] ?? '')).toBe(evaluate(found[0] as string));
  });

  it('has one row for each constant', () => {
    expect(new Set(rows.map(({ constant }) => constant)).size).toBe(rows.length);
    expect(rows.length).toBeGreaterThan(10);
  });
});

/** Computes a product of TypeScript numbers and DAY_MS. */
function evaluate(expression: string): number {
  if (expression === 'Number.MAX_SAFE_INTEGER') return Number.MAX_SAFE_INTEGER;
  const product = expression.replace('DAY_MS', String(DAY_MS));
  if (!/^[\d_]+( \* [\d_]+)*$/.test(product)) throw new Error(`${expression} is not a product of numbers.`);
  return product.split(' * ').reduce((product, factor) => product * Number(factor.replace(/_/g, '')), 1);
}

describe('the errors in docs/errors.md', () => {
  const [rest = '', graphql = ''] = read('docs/errors.md').split('## GraphQL\n');

  it('have the HTTP status and the kind that the code has', () => {
    const rows = rowsOf(rest);
    expect(rows.length).toBeGreaterThan(20);
    for (const [http, status, code] of rows) {
      const name = coded(code)[0] as ErrorCode;
      expect({ name, http, kind: coded(status)[0] }).toEqual({ name, http: String(httpStatusOf(name)), kind: ERRORS[name].kind });
    }
  });

  it('have the codes of the GraphQL answers', () => {
    const source = read('src/graphql/errors.ts');
    const [, own = ''] = /^type Code =\n([\s\S]*?);$/m.exec(source) ?? [];
    const [, apollo = ''] = /^const APOLLO_CODES = ([\s\S]*?);$/m.exec(source) ?? [];
    const named = (text: string): string[] => [...text.matchAll(/'([A-Z_]+)'/g)].map((match) => match[1] as string);
    const documented = rowsOf(graphql).map(([code]) => coded(code)[0]);
    expect(named(own).length).toBeGreaterThan(5);
    expect(documented).toEqual(expect.arrayContaining(named(own)));
    expect([...named(own), ...named(apollo)]).toEqual(expect.arrayContaining(documented));
  });
});

it('the tour shows every mutation', () => {
  const mutations = Object.keys(buildSchema(read('schema.graphql')).getMutationType()?.getFields() ?? {});
  const shown = MANUAL.flatMap(({ text }) => blocksOf(text))
    .filter(({ language }) => language === 'graphql')
    .flatMap(({ text }) => parse(text).definitions)
    .flatMap((definition) =>
      definition.kind === 'OperationDefinition' && definition.operation === 'mutation' ? definition.selectionSet.selections : [],
    )
    .map((selection) => (selection.kind === 'Field' ? selection.name.value : ''));
  expect([...new Set(shown)].sort()).toEqual(mutations.sort());
});

/** The anchors of headings. */
const anchorsOf = (text: string): string[] =>
  text
    .split('\n')
    .flatMap((line) => /^#+ (.*)$/.exec(line)?.[1] ?? [])
    .map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^a-z0-9 -]/g, '')
        .replace(/ /g, '-'),
    );

describe.each(DOCUMENTS)('%s', (document) => {
  const text = read(document);

  it('names only existing scripts and commands', () => {
    const commands = [...codeOf(text), ...blocksOf(text).map((block) => block.text)].join('\n');
    const scripts = [...commands.matchAll(/\bnpm run (?:--silent )?([a-z-]+)/g)].map((match) => match[1] as string);
    expect(Object.keys(manifest.scripts)).toEqual(expect.arrayContaining(scripts));
    const subcommands = [...read('src/cli.ts').matchAll(/\.command\('([a-z-]+)'\)/g)].map((match) => match[1]);
    const used = [...commands.matchAll(/dist\/src\/cli\.js ([a-z-]+)/g)].map((match) => match[1]);
    expect(subcommands).toEqual(expect.arrayContaining(used));
  });

  it('links only to existing files and headings', () => {
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (target.startsWith('http')) continue;
      const [file, anchor] = target.split('#');
      const path = file ? join(dirname(document), file) : document;
      expect({ target, there: existsSync(join(ROOT, path)) }).toEqual({ target, there: true });
      if (anchor !== undefined) expect(anchorsOf(read(path))).toContain(anchor);
    }
  });
});

describe('ARCHITECTURE.md', () => {
  const text = read('ARCHITECTURE.md');
  const tree = pathsOf(blocksOf(text)[0]?.text ?? '');

  it('has only existing entries in its tree', () => {
    expect(tree.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('has every folder and every top-level file of src in its tree', () => {
    const folders = sourceFiles.filter((path) => statSync(join(ROOT, 'src', path)).isDirectory());
    const wanted = [
      ...folders.map((path) => `src/${path}/`),
      ...sourceFiles.filter((path) => dirname(path) === '.' && path.endsWith('.ts')).map((path) => `src/${path}`),
    ];
    const perDatabase = /^src\/db\/migrations\/.+/; // one line for both databases
    expect(wanted.filter((path) => !tree.includes(path) && !perDatabase.test(path))).toEqual([]);
  });

  it('has every table', () => {
    const documented = rowsOf(sectionOf(text, 'Tables')).flatMap(([tables]) => coded(tables));
    const tables = getMetadataArgsStorage()
      .tables.filter(({ target }) => (entities as unknown[]).includes(target))
      .map(({ name }) => name as string);
    expect(documented.sort()).toEqual(tables.sort());
  });

  /** The paths of a tree. Each level is indented by two blanks. Lines with a deeper indent continue a description. */
  function pathsOf(block: string): string[] {
    const parents: string[] = [];
    return block.split('\n').flatMap((line) => {
      const [, indent = '', name] = /^((?: {2}){0,4})(\S+)/.exec(line) ?? [];
      if (name === undefined) return [];
      const depth = indent.length / 2;
      parents.length = depth;
      parents.push(name);
      return [parents.join('')];
    });
  }
});

describe('docs/dependencies.md', () => {
  const text = read('docs/dependencies.md');
  const packages = (rows: string[][]): Record<string, string> =>
    Object.fromEntries(rows.map(([name, version = '']) => [coded(name)[0] as string, version]));
  const [dependencies = '', overrides = ''] = text.split('\n## Overrides');

  it('has every dependency with its version and a reason', () => {
    const rows = rowsOf(dependencies);
    expect(packages(rows)).toEqual({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(rows.filter(([, , reason]) => !reason)).toEqual([]);
  });

  it('has the production dependencies and the development dependencies in their sections', () => {
    expect(packages(rowsOf(sectionOf(text, 'Production')))).toEqual(manifest.dependencies);
    expect(packages(rowsOf(sectionOf(text, 'Development and tests')))).toEqual(manifest.devDependencies);
  });

  it('has every override with its version and a reason', () => {
    const rows = rowsOf(overrides);
    expect(packages(rows)).toEqual(manifest.overrides);
    expect(rows.filter(([, , reason]) => !reason)).toEqual([]);
  });
});

it('CONTRIBUTING.md has every step of the check', () => {
  const steps = [...read('scripts/check.js').matchAll(/\{\s*name: '([a-z]+)'/g)].map((match) => match[1]);
  const documented = rowsOf(sectionOf(read('CONTRIBUTING.md'), 'Checks')).map(([name]) => coded(name)[0]);
  expect(documented.sort()).toEqual(steps.sort());
});
