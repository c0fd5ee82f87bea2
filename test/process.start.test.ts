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

jest.setTimeout(90_000); // other test files use the processors too

// The first start for an operator: dist/src/main.js as a real process, on a new database.

onSqlite('the first start without any settings', () => {
  it('prints its address once, the root key once, and a working curl line; the next start shows no key again', async () => {
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
    const { stdout: output } = await second.ended;
    expect(output).not.toMatch(/root_|curl|_live_/);
  });

  it('succeeds three times at once without a database, with the same secrets and one demo', async () => {
    const cwd = await temporaryFolder();
    const both = await Promise.all([startProcess({ cwd }), startProcess({ cwd }), startProcess({ cwd })]);
    const urls = await Promise.all(both.map(({ listening }) => listening));
    const allPrinted = () => both.map((started) => started.stdout()).join('');
    // One process may have made the root key, and another one the demo
    await until(() => allPrinted().includes('curl ') && allPrinted().includes('root_'), 'the curl line and the root key');
    const printed = allPrinted();
    expect(printed.match(/root_[0-9A-Za-z]{43}/g)).toHaveLength(1);
    const secrets = [...printed.matchAll(/X-Api-Key: (\S+)'/g)].map(([, secret]) => secret as string);
    expect(secrets).toHaveLength(1);
    for (const url of urls) expect((await restClient(url)({ secret: secrets[0] as string })).status).toBe(200);
  });
});

onMysql('three simultaneous starts on an empty database', () => {
  it('all succeed', async () => {
    const env = { DATABASE_URL: await freshDatabaseUrl(), ...SECRETS, DEMO: 'true' };
    const both = await Promise.all([startProcess({ env }), startProcess({ env }), startProcess({ env })]);
    const urls = await Promise.all(both.map(({ listening }) => listening));
    await until(() => both.some((started) => started.stdout().includes('curl ')), 'the curl line');
    const secrets = both.flatMap((started) => [...started.stdout().matchAll(/X-Api-Key: (\S+)'/g)].map(([, secret]) => secret as string));
    expect(secrets).toHaveLength(1);
    for (const url of urls) expect((await restClient(url)({ secret: secrets[0] as string })).status).toBe(200);
  });
});

onMysql('a database server that flushes each commit to disk', () => {
  it('causes no warning at the start', async () => {
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
