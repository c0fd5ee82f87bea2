import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { createTestApp, SECRETS } from './support/app';
import { graphqlClient, restClient } from './support/clients';
import { freshDatabaseUrl } from './support/database';
import { onMysql, onSqlite } from './support/on-database';
import { startProcess, temporaryFolder } from './support/process';
import { until } from './support/until';

jest.setTimeout(90_000); // other test files take the processors too

// What an operator meets first: dist/src/main.js as a real process, on a database that is new.

onSqlite('the first start, with nothing set', () => {
  it('says where it listens once, shows the root key once, and prints a curl line that works; the next start shows neither key again', async () => {
    const cwd = await temporaryFolder();
    const first = await startProcess({ cwd });
    const url = await first.listening;
    await until(() => first.stdout().includes('curl '), 'the curl line');
    const lines = first.stdout().split('\n');
    expect(lines.filter((line) => line.includes(`listening on ${url}`))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('listening on'))).toHaveLength(1);
    expect(lines.filter((line) => line.includes('root_'))).toHaveLength(1);
    const rootKey = /root_[0-9A-Za-z]{43}/.exec(first.stdout())?.[0] as string;
    const [curl] = lines.filter((line) => line.startsWith('curl '));
    const { stdout } = await promisify(execFile)('bash', ['-c', curl as string]);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, data: { hello: 'world' }, billing: { chargedMicroCredits: 1_000 } });
    expect((await graphqlClient(url, rootKey)('{ workspaces { nodes { name } } }')).data.workspaces.nodes).toHaveLength(1);
    expect((await stat(join(cwd, 'data', 'tollgate.db.pepper'))).mode & 0o777).toBe(0o600);
    first.kill('SIGTERM');
    expect(await first.ended).toMatchObject({ code: 0, signal: null });

    const secret = /X-Api-Key: (\S+)'/.exec(curl as string)?.[1] as string;
    const second = await startProcess({ cwd });
    const again = await second.listening;
    expect((await restClient(again)({ secret })).status).toBe(200);
    expect((await graphqlClient(again, rootKey)('{ workspaces { nodes { name } } }')).errors).toBeUndefined();
    second.kill('SIGTERM');
    const { stdout: said } = await second.ended;
    expect(said).not.toMatch(/root_|curl|_live_/);
  });

  it('two at once on no database yet both come up, with the same secrets and one demo', async () => {
    const cwd = await temporaryFolder();
    const both = await Promise.all([startProcess({ cwd }), startProcess({ cwd }), startProcess({ cwd })]);
    const urls = await Promise.all(both.map(({ listening }) => listening));
    const allPrinted = () => both.map((one) => one.stdout()).join('');
    // One may have made the root key, and the other the demo
    await until(() => allPrinted().includes('curl ') && allPrinted().includes('root_'), 'the curl line and the root key');
    const printed = allPrinted();
    expect(printed.match(/root_[0-9A-Za-z]{43}/g)).toHaveLength(1);
    const secrets = [...printed.matchAll(/X-Api-Key: (\S+)'/g)].map(([, secret]) => secret as string);
    expect(secrets).toHaveLength(1);
    for (const url of urls) expect((await restClient(url)({ secret: secrets[0] as string })).status).toBe(200);
  });
});

onMysql('two at once on an empty database', () => {
  it('both come up', async () => {
    const env = { DATABASE_URL: await freshDatabaseUrl(), ...SECRETS, DEMO: 'true' };
    const both = await Promise.all([startProcess({ env }), startProcess({ env }), startProcess({ env })]);
    const urls = await Promise.all(both.map(({ listening }) => listening));
    await until(() => both.some((one) => one.stdout().includes('curl ')), 'the curl line');
    const secrets = both.flatMap((one) => [...one.stdout().matchAll(/X-Api-Key: (\S+)'/g)].map(([, secret]) => secret as string));
    expect(secrets).toHaveLength(1);
    for (const url of urls) expect((await restClient(url)({ secret: secrets[0] as string })).status).toBe(200);
  });
});

onMysql('a server whose flush is not durable', () => {
  it('is warned of at the start', async () => {
    const app = await createTestApp();
    const connection = await createConnection(app.databaseUrl);
    try {
      const [rows] = await connection.query('SELECT @@innodb_flush_log_at_trx_commit AS flush');
      expect(rows).toEqual([{ flush: 1 }]);
      expect(app.logLines.join('')).not.toContain('innodb_flush_log_at_trx_commit');
    } finally {
      await connection.end();
      await app.close();
    }
  });
});
