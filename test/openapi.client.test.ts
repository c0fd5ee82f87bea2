import { execFile } from 'node:child_process';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ModuleKind, ScriptTarget, createProgram, flattenDiagnosticMessageText, getPreEmitDiagnostics } from 'typescript';
import { LOOK_BACK_MS } from '../src/requests/request-log.feed';
import { createTestApp, type TestApp } from './support/app';
import { buildKey } from './support/factories';
import { temporaryFolder } from './support/process';

// Generates types from openapi.json, compiles a client's program with them, and runs it against a listening server.

jest.setTimeout(120_000);

const ROOT = join(__dirname, '..');
const run = promisify(execFile);

let app: TestApp;
beforeAll(async () => (app = await createTestApp()));
afterAll(() => app.close());

/** Compiles a file to JavaScript beside it. Returns TypeScript's errors. */
function compile(file: string): string[] {
  const program = createProgram([file], {
    strict: true,
    types: [],
    target: ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'],
    module: ModuleKind.Node20,
    skipLibCheck: true,
  });
  program.emit();
  return getPreEmitDiagnostics(program).map(({ messageText }) => flattenDiagnosticMessageText(messageText, '\n'));
}

it('a generated TypeScript client runs an action, knows the details of each error by its code, and reads exports', async () => {
  const folder = await temporaryFolder();
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const generator = join(ROOT, 'node_modules/openapi-typescript/bin/cli.js');
  await run(process.execPath, [generator, join(ROOT, 'openapi.json'), '--output', join(folder, 'generated.d.ts')], { cwd: folder });
  await writeFile(join(folder, 'program.mts'), await readFile(join(__dirname, 'clients/rest.mts.txt')));
  expect(compile(join(folder, 'program.mts'))).toEqual([]);

  const { secret } = await buildKey(app, { budget: 1_500, permissions: ['demo.*', 'read.logs'] });
  const outputOf = async (task: string): Promise<unknown> =>
    JSON.parse((await run(process.execPath, [join(folder, 'program.mjs'), app.url, secret, task])).stdout);
  expect(await outputOf('call')).toEqual({
    echoed: 'world',
    charged: 1_000,
    replayed: true,
    refusal: 'DEMO_FAILURE',
    advices: ['There is no DEMO.NOTHING.', 'Add 500 micro-credits.', 'params must be an object'],
  });
  app.travel(LOOK_BACK_MS); // after this time no call is recorded late
  expect(await outputOf('read')).toEqual({
    calls: [
      ['FAILED', 0],
      ['SUCCEEDED', 1_000],
    ],
    records: 6, // the names, four calls, and the end of the text
  });
});
