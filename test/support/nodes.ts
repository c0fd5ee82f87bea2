import { createTestApp, type TestApp } from './app';
import { freshDatabaseUrl } from './database';

export interface NodesOptions {
  /** They do so much at a time that SQLite, which has one server, would lock one of them out: there the same one plays both parts. */
  busy?: boolean;
}

/** Two servers of one installation. */
export async function createNodes({ busy = false }: NodesOptions = {}): Promise<[TestApp, TestApp]> {
  const databaseUrl = await freshDatabaseUrl();
  const node = await createTestApp({ databaseUrl });
  if (!busy || TEST_DATABASE === 'mysql') return [node, await createTestApp({ databaseUrl })];
  process.stderr.write('\nNOT TESTED ON SQLITE: what holds between two servers, for it has one. The same tests ran on one.\n');
  return [node, node];
}

export async function closeNodes(...nodes: TestApp[]): Promise<void> {
  for (const node of new Set(nodes)) await node.close();
}
