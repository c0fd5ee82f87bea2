import { mkdir, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { ConfigError, loadConfig } from '../src/config';
import { createTestApp, PEPPER, ROOT_KEY, SECRETS } from './support/app';
import { freshDatabaseUrl } from './support/database';
import { expectRefusal, refusalOf, temporaryFolder, type Ending } from './support/process';

jest.setTimeout(90_000); // other test files use the processors too

// A start with a fault: dist/src/main.js as a real process must end with one line that tells an operator what to change.

describe('an impossible start', () => {
  it('is refused with one line if production lacks a secret', async () => {
    const cwd = await temporaryFolder();
    const [none, noPepper, noRootKey] = await Promise.all([
      refusalOf({ NODE_ENV: 'production' }, cwd),
      refusalOf({ NODE_ENV: 'production', ROOT_KEY }, cwd),
      refusalOf({ NODE_ENV: 'production', KEY_PEPPER: PEPPER }, cwd),
    ]);
    for (const ending of [none, noPepper, noRootKey]) expectRefusal(ending, /production.*ROOT_KEY.*KEY_PEPPER/);
    await expect(stat(join(cwd, 'data'))).rejects.toThrow(); // it created nothing before
  });

  const MALFORMED: [string, string][] = [
    ['PORT', 'eighty'],
    ['PORT', '65536'],
    ['ROOT_KEY', 'short'],
    ['KEY_PEPPER', 'short'],
    ['UPSTREAM_SIGNING_SECRET', 'whsec_no'],
    ['TRUSTED_PROXIES', '10.0.0.0/33'],
    ['CORS_ORIGINS', 'https://example.com/path'],
    ['BODY_LIMIT_BYTES', '-1'],
    ['MAX_CALLS_IN_FLIGHT', 'many'],
    ['MAX_BYTES_IN_FLIGHT', '1'],
    ['DEMO', 'yes'],
    ['PUBLIC_URL', 'example'],
    ['SHUTDOWN_TIMEOUT_MS', '1.5'],
    ['LOG_LEVEL', 'loud'],
    ['DATABASE_URL', 'postgres://localhost/x'],
    ['DATABASE_URL', 'mysql://localhost'],
    ['DATABASE_URL', 'mysql://u:%zz@localhost/x'],
    ['DATABASE_URL', 'sqlite::memory:'],
  ];

  it.each(MALFORMED)('is refused if %s is %s, with the name of the variable', (name, value) => {
    const load = () => loadConfig({ ...SECRETS, [name]: value });
    expect(load).toThrow(ConfigError);
    expect(load).toThrow(new RegExp(`^${name} must`));
  });

  it('names every malformed variable in one line', async () => {
    const named = MALFORMED.filter(([name]) => name !== 'DATABASE_URL');
    const [ending, url] = await Promise.all([
      refusalOf(Object.fromEntries(named)),
      refusalOf({ DATABASE_URL: 'mysql://localhost', ...SECRETS }),
    ]);
    for (const [name] of named) expectRefusal(ending, new RegExp(`${name} must`));
    expectRefusal(url, /^DATABASE_URL must be/);
  });

  it('is refused with one line if HOST belongs to another machine or PORT is in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const port = String((taken.address() as AddressInfo).port);
    try {
      const env = { DATABASE_URL: await freshDatabaseUrl(), ...SECRETS };
      const [inUse, nowhere] = await Promise.all([refusalOf({ ...env, PORT: port }), refusalOf({ ...env, HOST: '192.0.2.1' })]);
      expectRefusal(inUse, new RegExp(`PORT.*${port}|${port}.*in use`));
      expectRefusal(nowhere, /HOST.*192\.0\.2\.1/);
    } finally {
      taken.close();
    }
  });

  it('is refused with one line if KEY_PEPPER or ROOT_KEY is not the one of the database', async () => {
    const DATABASE_URL = await freshDatabaseUrl();
    const app = await createTestApp({ databaseUrl: DATABASE_URL });
    await app.close();
    const [pepper, rootKey] = await Promise.all([
      refusalOf({ DATABASE_URL, ...SECRETS, KEY_PEPPER: `other-${PEPPER}` }),
      refusalOf({ DATABASE_URL, ...SECRETS, ROOT_KEY: `other-${ROOT_KEY}` }),
    ]);
    expectRefusal(pepper, /^KEY_PEPPER is not/);
    expectRefusal(rootKey, /^ROOT_KEY is not/);
  });

  if (TEST_DATABASE === 'mysql') {
    it('is refused with one line if KEY_PEPPER is not set on MySQL', async () => {
      expectRefusal(await refusalOf({ DATABASE_URL: await freshDatabaseUrl(), ROOT_KEY }), /KEY_PEPPER must be set/);
    });

    it('is refused with one line if the database is unreachable or unknown, or the password is wrong', async () => {
      const url = new URL(await freshDatabaseUrl());
      const variant = (change: Partial<URL>) => refusalOf({ DATABASE_URL: Object.assign(new URL(url), change).href, ...SECRETS });
      const [away, unknown, password] = await Promise.all([
        variant({ port: '1' }),
        variant({ pathname: '/no_such_database' }),
        variant({ password: 'wrong' }),
      ]);
      expectRefusal(away, /database/i);
      expectRefusal(unknown, /no_such_database/);
      expectRefusal(password, /denied/);
    });
  } else {
    it('is refused with one line if the file of the pepper is empty', async () => {
      const folder = await temporaryFolder();
      await writeFile(join(folder, 'kept.db.pepper'), '\n');
      expectRefusal(
        await refusalOf({ DATABASE_URL: `sqlite:${join(folder, 'kept.db')}`, ROOT_KEY }),
        /^The file .*kept\.db\.pepper must hold the pepper/,
      );
    });

    it('is refused with one line if the path is not a database file, or cannot be one', async () => {
      const folder = await temporaryFolder();
      await writeFile(join(folder, 'text.db'), 'This is a text and no database, and it is long enough to be read as one.\n'.repeat(100));
      await mkdir(join(folder, 'folder.db'));
      const [text, directory, below] = await Promise.all(
        ['text.db', 'folder.db', 'text.db/below.db'].map((path) => refusalOf({ DATABASE_URL: `sqlite:${join(folder, path)}`, ...SECRETS })),
      );
      for (const ending of [text, directory, below]) expectRefusal(ending as Ending, /database/i);
    });
  }
});
