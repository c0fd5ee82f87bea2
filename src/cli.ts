import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lexicographicSortSchema, printSchema } from 'graphql';
import { Command } from 'commander';
import { newRootKey, openSecrets, replaceRootKey } from './access/installation';
import { Sealed } from './access/sessions/sealed';
import { ChainKeys } from './audit/chain-keys';
import { auditChains, eventsThatWaitTooLong, type ChainReport } from './audit/chain-reports';
import { chainHeads, parseHeads, type ChainHead } from './audit/heads';
import { ConfigError, loadConfig } from './config';
import { Database } from './db/database';
import { whyNotOpened } from './db/failures';
import { migrations } from './db/migrations';
import { seedDemo } from './demo';
import { renderDocs } from './docs/site';
import { entities } from './entities';
import { auditBooks } from './gate/books';
import { loggableError } from './lib/loggable';
import { SigningKeys } from './oauth/signing-keys';
import { openApiDocument } from './rest/openapi/document';
import { describeSchema, docsOf } from './schema';
import { createServices } from './services';

const cli = new Command('tollgate').description('Administers a Tollgate database. Takes the same environment variables as the server.');

cli
  .command('migrate')
  .description('bring the database up to date; a start does the same')
  .action(() => withDatabase(async () => console.log('The database is up to date.'), { make: true }));

cli
  .command('seed')
  .description('on a database without a workspace: make a demo workspace, project, budget and key, and print its secret')
  .action(() =>
    withDatabase(async (database) => {
      const { digest } = await openSecrets(loadConfig(), database);
      const services = createServices(database, digest);
      await services.actions.ensureBuiltIns();
      console.log((await seedDemo(database, services)) ?? 'There is a workspace already; nothing was made.');
    }, { make: true }),
  );

cli
  .command('audit')
  .description(
    'recompute every balance from the ledger, the holds and the logs, and verify the audit trail; exit code 1 if there is a fault',
  )
  .option('--json', 'print one line of JSON per account')
  .option(
    '--head <file>',
    'compare the chains of the audit trail with their heads in this file: finds chains that were cut off or rewritten',
  )
  .option(
    '--write-head <file>',
    'write the heads into this file if there is no fault; keep it in a place where no database administrator can write',
  )
  .action((options: AuditOptions) => withDatabase((database) => audit(database, options)));

cli
  .command('root-key')
  .description('make a new root key (or take ROOT_KEY if it is set) and end the previous one, on every node at once')
  .action(() =>
    withDatabase(async (database) => {
      const config = loadConfig();
      const { digest } = await openSecrets(config, database);
      const rootKey = config.rootKey ?? newRootKey();
      await replaceRootKey(database, digest, rootKey);
      console.log(config.rootKey ? 'ROOT_KEY is the root key from now on.' : `The operator's root key, shown this once: ${rootKey}`);
    }),
  );

cli
  .command('signing-secret')
  .description('print the secrets with which upstreams verify calls')
  .action(() =>
    withDatabase(async (database) => {
      const { signingSecrets } = await openSecrets(loadConfig(), database);
      console.log(signingSecrets.join('\n'));
    }),
  );

cli
  .command('oauth-signing-key')
  .description('make a new key that signs ID tokens, and end the previous ones on every node: for a key that may have leaked')
  .action(() =>
    withDatabase(async (database) => {
      const { pepper } = await openSecrets(loadConfig(), database);
      await new SigningKeys({ database, pepper }).replaceAll();
      console.log('A new key signs ID tokens from now on. The previous keys have ended.');
    }),
  );

cli
  .command('print-schema')
  .description('print the GraphQL schema')
  .action(() => console.log(printSchema(lexicographicSortSchema(describeSchema()))));

cli
  .command('print-openapi')
  .description('print the OpenAPI document of the REST routes')
  .action(() => console.log(JSON.stringify(openApiDocument(), null, 2)));

cli
  .command('write-docs')
  .description('write the manual that a server shows at /docs into a folder')
  .argument('[folder]', 'created if it does not exist', 'dist/docs')
  .action((folder: string) => {
    mkdirSync(folder, { recursive: true });
    for (const [name, page] of renderDocs(docsOf(lexicographicSortSchema(describeSchema())))) writeFileSync(join(folder, name), page);
    console.log(`The manual is in ${folder}: open ${join(folder, 'index.html')}.`);
  });

/** Opens the database and runs `work`. With `make` a missing SQLite file is created. Otherwise it is an error, probably a wrong name. */
async function withDatabase(work: (database: Database) => Promise<void>, { make = false } = {}): Promise<void> {
  const { database: settings } = loadConfig();
  if (!make && settings.type === 'sqlite' && !existsSync(settings.path))
    throw new ConfigError(
      `DATABASE_URL names the file ${settings.path}, which does not exist. Correct the name, or create it with "migrate".`,
    );
  const database = await Database.open(settings, { entities, migrations }, { readTimeoutMs: 0 });
  try {
    await work(database);
  } finally {
    await database.close();
  }
}

interface Report {
  faults: string[];
}

interface AuditOptions {
  json?: boolean;
  head?: string;
  writeHead?: string;
}

async function audit(database: Database, { json = false, head, writeHead }: AuditOptions): Promise<void> {
  const { pepper } = await openSecrets(loadConfig(), database);
  const keys = new ChainKeys(new Sealed(pepper, 'audit chain'));
  const heads = head === undefined ? [] : headsIn(head);
  const accounts = await printReports(auditBooks(database), json, ({ type, account }) => `${type} ${account}`);
  if (!json)
    console.log(accounts.wrong === 0 ? `All ${accounts.all} accounts agree.` : `${accounts.wrong} of ${accounts.all} accounts disagree.`);
  const chains = await printReports(auditChains(database.reader, keys, heads), json, ({ chain }) => `chain ${chain}`, noteOfAge);
  if (!json)
    console.log(
      chains.wrong === 0
        ? `All ${chains.all} chains of the audit trail are intact.`
        : `${chains.wrong} of ${chains.all} chains of the audit trail are broken.`,
    );
  const waiting = await eventsThatWaitTooLong(database);
  if (waiting > 0 && !json)
    console.log(`${waiting} events have waited over a minute to be sealed. Start a server, or look for a sealing failure in its log.`);
  if (accounts.wrong + chains.wrong > 0) process.exitCode = 1;
  else if (writeHead !== undefined) await writeHeads(writeHead, chainHeads(database.reader, keys));
}

/** The note for a chain that is older than its key: an attacker with the database could have rewritten its links from before the key. */
function noteOfAge({ chain, verifiedTo, keyedFrom }: ChainReport): string | undefined {
  if (verifiedTo === 0 || keyedFrom === 1) return undefined;
  if (keyedFrom === null) return `chain ${chain}: it has no key yet, so a database administrator could have rewritten it.`;
  return `chain ${chain}: it got its key at link ${keyedFrom}. Earlier links are proven only as they were at that time.`;
}

function headsIn(file: string): ChainHead[] {
  try {
    return parseHeads(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ConfigError(`The file ${file} is no file of heads from --write-head: ${(error as Error).message.split('\n', 1)[0]}`);
  }
}

/** Replaces the file atomically: the earlier heads stay until the new ones are completely written. */
async function writeHeads(file: string, heads: AsyncIterable<ChainHead>): Promise<void> {
  const lines: string[] = [];
  for await (const head of heads) lines.push(`${JSON.stringify(head)}\n`);
  writeFileSync(`${file}.new`, lines.join(''), { flush: true });
  renameSync(`${file}.new`, file);
}

/** Prints each report as JSON, or its faults and its note as lines. Returns the number of reports, and of those with faults. */
async function printReports<T extends Report>(
  reports: AsyncIterable<T>,
  json: boolean,
  nameOf: (report: T) => string,
  noteOf: (report: T) => string | undefined = () => undefined,
): Promise<{ all: number; wrong: number }> {
  const counted = { all: 0, wrong: 0 };
  for await (const report of reports) {
    counted.all += 1;
    if (report.faults.length > 0) counted.wrong += 1;
    const lines = [...report.faults.map((fault) => `${nameOf(report)}: ${fault}`), noteOf(report)].filter((line) => line !== undefined);
    for (const line of json ? [JSON.stringify(report)] : lines) console.log(line);
  }
  return counted;
}

process.stdout.on('error', () => process.exit(2)); // the output lost its reader: exit with neither 0 (no fault) nor 1 (fault)

cli.parseAsync().catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : (whyNotOpened(error) ?? loggableError(error)));
  process.exit(1);
});
