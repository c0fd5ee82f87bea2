import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse, print } from 'graphql';
import { createProgram, flattenDiagnosticMessageText, getPreEmitDiagnostics } from 'typescript';

// Proves that Relay's compiler and GraphQL Code Generator accept the schema unchanged.

jest.setTimeout(60_000);

const file = (name: string) => readFile(join(__dirname, name), 'utf8');
const schemaText = () => file('../schema.graphql');

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tollgate-clients-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs Relay's compiler over documents. Returns its output and the names of the generated files. */
async function compileRelay(documents: string): Promise<{ failed: boolean; output: string; artifacts: string[] }> {
  const tagged = parse(documents).definitions.map((definition) => `graphql\`${print(definition)}\`;`);
  await writeFile(join(folder, 'schema.graphql'), await schemaText());
  await writeFile(join(folder, 'Dashboard.js'), tagged.join('\n'));
  await writeFile(
    join(folder, 'relay.config.json'),
    JSON.stringify({ src: '.', schema: './schema.graphql', language: 'typescript', eagerEsModules: true }),
  );
  const binary = require('relay-compiler') as string;
  const { failed, stdout, stderr } = await promisify(execFile)(binary, ['relay.config.json'], { cwd: folder }).then(
    (streams) => ({ ...streams, failed: false }),
    (error: { stdout: string; stderr: string }) => ({ ...error, failed: true }),
  );
  const artifacts = await readdir(join(folder, '__generated__')).catch(() => []);
  return { failed, output: stdout + stderr, artifacts };
}

describe('Relay’s compiler', () => {
  it('accepts the schema: connections in both directions, objects refetched by their ids, and edges that mutations add', async () => {
    const { failed, output, artifacts } = await compileRelay(await file('clients/relay.graphql'));
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
      'query DashboardQuery { permissions @connection(key: "Dashboard_permissions") { name } }',
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
