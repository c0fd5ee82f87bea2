import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createProgram, flattenDiagnosticMessageText, getPreEmitDiagnostics } from 'typescript';
import { compileRelay } from './support/relay';

// Proves that Relay's compiler and GraphQL Code Generator accept the schema unchanged.

jest.setTimeout(60_000);

const file = (name: string) => readFile(join(__dirname, name), 'utf8');

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tollgate-clients-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('Relay’s compiler', () => {
  it('accepts the schema: connections in both directions, objects refetched by their ids, and edges that mutations add', async () => {
    const { failed, output, artifacts } = await compileRelay(folder, await file('clients/relay.graphql'), 'typescript');
    expect([failed, failed ? output : '']).toEqual([false, '']);
    const queries = [
      'DashboardQuery',
      'DashboardWorkspacesQuery',
      'DashboardKeysQuery',
      'DashboardKeyQuery',
      'DashboardCallsQuery',
      'DashboardMintMutation',
    ];
    expect(artifacts).toEqual(expect.arrayContaining(queries.map((name) => `${name}.graphql.ts`)));
  });

  it('refuses a list that is not a connection', async () => {
    const { failed, output } = await compileRelay(
      folder,
      'query DashboardQuery { permissions @connection(key: "Dashboard_permissions") { name } }',
      'typescript',
    );
    expect(failed).toBe(true);
    expect(output).toMatch(/@connection/);
  });
});

/** Returns TypeScript's errors about a file in the folder. */
function complaintsAbout(name: string): string[] {
  const program = createProgram([join(folder, name)], {
    strict: true,
    noEmit: true,
    types: [],
    lib: ['lib.es2023.d.ts'],
    skipLibCheck: true,
  });
  return getPreEmitDiagnostics(program).map(({ messageText }) => flattenDiagnosticMessageText(messageText, '\n'));
}

/** Returns TypeScript's errors about the usage file, together with the given generated types. */
async function complaintsOf(types: string): Promise<string[]> {
  await writeFile(join(folder, 'generated.ts'), types);
  await writeFile(join(folder, 'usage.ts'), await file('clients/usage.ts.txt'));
  return complaintsAbout('usage.ts');
}

/** Runs GraphQL Code Generator. Returns the generated types. */
async function generate(plugin: 'typescript' | 'operations', ...documents: string[]): Promise<string> {
  const files = ['../schema.graphql', ...documents].map((name) => join(__dirname, name));
  return (await promisify(execFile)(process.execPath, [join(__dirname, 'clients/generate.js'), plugin, ...files], { maxBuffer: 2 ** 24 }))
    .stdout;
}

describe('GraphQL Code Generator', () => {
  it('generates types for a dashboard’s documents that compile and refuse what the schema does not have', async () => {
    expect(await complaintsOf(await generate('operations', 'clients/dashboard.graphql'))).toEqual([]);
  });

  it('generates types for the whole schema that compile', async () => {
    const types = await generate('typescript');
    for (const name of ['ApiKey', 'RequestLogConnection', 'LedgerEntryEdge', 'MintKeyInput'])
      expect(types).toContain(`export type ${name} = `);
    await writeFile(join(folder, 'all.ts'), types);
    expect(complaintsAbout('all.ts')).toEqual([]);
  });
});
