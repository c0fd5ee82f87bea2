import { createTestApp, type TestApp } from './app';
import { freshDatabaseUrl } from './database';

export interface NodesOptions {
  /** For tests that write much at the same time. SQLite allows only one server then, so both results are the same server. */
  busy?: boolean;
}

/** Starts two servers of one installation. */
export async function createNodes({ busy = false }: NodesOptions = {}): Promise<[TestApp, TestApp]> {
  const databaseUrl = await freshDatabaseUrl();
  const node = await createTestApp({ databaseUrl });
  if (!busy || TEST_DATABASE === 'mysql') return [node, await createTestApp({ databaseUrl })];
  process.stderr.write(
    '\nNOT TESTED ON SQLITE: guarantees between two servers, because SQLite has one. The same tests ran on one server.\n',
  );
  return [node, node];
}

export async function closeNodes(...nodes: TestApp[]): Promise<void> {
  for (const node of new Set(nodes)) await node.close();
}
