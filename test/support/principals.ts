import { execFile } from 'node:child_process';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from './process';

const ROOT = join(__dirname, '..', '..');

/** Verifies the token of each request with the example, and prints the claims or the codes of the errors. */
const PROGRAM = `
import { principalOf } from './example.mjs';
const requests = JSON.parse(process.argv[2]).map((token) => ({ headers: { 'tollgate-principal': token ?? undefined } }));
const results = await Promise.allSettled(requests.map(principalOf));
console.log(JSON.stringify(results.map(({ value, reason }) => value ?? reason.code)));
`;

/**
 * Runs the example of docs/routes.md for Node in a process of its own, as it is written there, but with this issuer and this audience.
 * Returns the claims of each token, or the code of its error. An undefined token is a request without the header.
 */
export async function verifiedByTheDocuments(of: { issuer: string; audience: string; tokens: (string | undefined)[] }): Promise<unknown[]> {
  const page = await readFile(join(ROOT, 'docs', 'routes.md'), 'utf8');
  const [example] = /^ {4}import \{ createRemoteJWKSet[\s\S]*?^ {4}\}$/m.exec(page) ?? [];
  if (example === undefined) throw new Error('docs/routes.md has no example that verifies the token in Node.');
  const folder = await temporaryFolder();
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const own = example.replaceAll('http://127.0.0.1:4000', of.issuer).replaceAll('http://127.0.0.1:8090', of.audience);
  await writeFile(join(folder, 'example.mjs'), own);
  await writeFile(join(folder, 'program.mjs'), PROGRAM);
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'program.mjs'), JSON.stringify(of.tokens)]);
  return JSON.parse(stdout) as unknown[];
}
