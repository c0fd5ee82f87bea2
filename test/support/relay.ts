import { execFile } from 'node:child_process';
import { copyFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse, print } from 'graphql';

/** Runs Relay's compiler over documents whose names begin with Dashboard. Returns its output and the names of the generated files. */
export async function compileRelay(
  folder: string,
  documents: string,
  language: 'typescript' | 'javascript',
): Promise<{ failed: boolean; output: string; artifacts: string[] }> {
  const tagged = parse(documents).definitions.map((definition) => `graphql\`${print(definition)}\`;`);
  await copyFile(join(__dirname, '../../schema.graphql'), join(folder, 'schema.graphql'));
  await writeFile(join(folder, 'Dashboard.js'), tagged.join('\n'));
  await writeFile(
    join(folder, 'relay.config.json'),
    JSON.stringify({ src: '.', schema: './schema.graphql', language, eagerEsModules: language === 'typescript' }),
  );
  const binary = require('relay-compiler') as string;
  const { failed, stdout, stderr } = await promisify(execFile)(binary, ['relay.config.json'], { cwd: folder }).then(
    (streams) => ({ ...streams, failed: false }),
    (error: { stdout: string; stderr: string }) => ({ ...error, failed: true }),
  );
  const artifacts = await readdir(join(folder, '__generated__')).catch(() => []);
  return { failed, output: stdout + stderr, artifacts };
}
