import type { AddressInfo } from 'node:net';
import { openInstallation } from '../../src/access/installation';
import { createApp, type App } from '../../src/app';
import { loadConfig, type Config } from '../../src/config';
import { Database, type DatabaseOptions } from '../../src/db/database';
import { migrations } from '../../src/db/migrations';
import { entities } from '../../src/entities';
import { graphqlClient, restClient, type GraphQLClient, type RestClient } from './clients';
import { freshDatabaseUrl } from './database';

export const ROOT_KEY = 'root-key-of-the-tests-0123456789abcdef';
export const PEPPER = 'pepper-of-the-tests-0123456789abcdefgh';
/** Both secrets as environment variables. */
export const SECRETS = { KEY_PEPPER: PEPPER, ROOT_KEY };

export interface TestApp extends App {
  /** The address of the server, without a slash at the end. */
  url: string;
  rootKey: string;
  databaseUrl: string;
  database: Database;
  /** Every line that it logged, as text. */
  logLines: string[];
  /** As the operator, unless another secret (or null, for none) is given. */
  graphql: GraphQLClient;
  rest: RestClient;
  /** Moves the clock that decides, on this node. */
  travel(ms: number): void;
  /** Closes the app; its database stays until the test file has ended. */
  close(): Promise<void>;
}

export interface TestAppOptions {
  /** Another node on the same database; a fresh one where absent. */
  databaseUrl?: string;
  config?: Partial<Config>;
  database?: DatabaseOptions;
}

/** The whole app on a real database, listening on a free port. The sweep runs only where a test calls `app.sweep.once()`. */
export async function createTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const databaseUrl = options.databaseUrl ?? (await freshDatabaseUrl());
  const environment = { DATABASE_URL: databaseUrl, ROOT_KEY, KEY_PEPPER: PEPPER, PORT: '0', LOG_LEVEL: 'info' };
  const config = { ...loadConfig(environment), ...options.config };
  const database = await Database.open(config.database, { entities, migrations }, options.database);
  const logLines: string[] = [];
  const installation = await openInstallation(config, database);
  const app = await createApp({ config, database, installation, log: { write: (line) => void logLines.push(line) } });
  await app.server.listen({ host: '127.0.0.1', port: 0 });
  const url = `http://127.0.0.1:${(app.server.server.address() as AddressInfo).port}`;
  return {
    ...app,
    url,
    rootKey: ROOT_KEY,
    databaseUrl,
    database,
    logLines,
    graphql: graphqlClient(url, ROOT_KEY),
    rest: restClient(url),
    travel: (ms) => {
      database.clock.offsetMs += ms;
    },
    close: async () => {
      await app.server.close();
      await database.close();
    },
  };
}
