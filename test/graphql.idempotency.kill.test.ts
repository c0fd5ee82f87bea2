import { randomInt, randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { MUTATION_LEASE_MS } from '../src/access/idempotency';
import { ApiKey } from '../src/keys/key.entity';
import { createTestApp, PEPPER, ROOT_KEY, type TestApp } from './support/app';
import { buildProject } from './support/factories';
import { startProcess } from './support/process';
import { until } from './support/until';

const CALLERS = 5;
const KILLS = 3;
const MINT = 'mutation ($input: MintKeyInput!) { mintKey(input: $input) { secret key { id name } } }';

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

it('mutations of a killed process have either run once, or run when they are retried; none runs twice', async () => {
  const { id: projectId } = await buildProject(app, { budget: 0 });
  const sent: string[] = [];
  const answered = new Map<string, { id: string; name: string }>();

  // Each API key is named after its Idempotency-Key, so that the test can find it
  const mint = async (url: string, key: string) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': ROOT_KEY, 'idempotency-key': key },
      body: JSON.stringify({ query: MINT, variables: { input: { projectId, name: key, permissions: [] } } }),
    });
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the shape of its answer
    return { status: response.status, ...((await response.json()) as any) };
  };

  for (let kill = 0; kill < KILLS; kill += 1) {
    const server = await startProcess({ env: { DATABASE_URL: app.databaseUrl, KEY_PEPPER: PEPPER, ROOT_KEY } });
    const url = await server.listening;
    const alive = { on: true };
    const before = answered.size;
    const load = Array.from({ length: CALLERS }, async () => {
      while (alive.on) {
        const key = randomUUID();
        sent.push(key);
        const answer = await mint(url, key).catch(() => undefined);
        if (answer?.data) answered.set(key, answer.data.mintKey.key);
      }
    });
    await until(() => answered.size >= before + 10, 'mutations to be answered before a kill');
    await wait(randomInt(50));
    server.kill('SIGKILL');
    await server.ended;
    alive.on = false;
    await Promise.all(load);
  }
  const open = sent.filter((key) => !answered.has(key));
  expect(open.length).toBeGreaterThan(0);

  app.travel(MUTATION_LEASE_MS + 1_000);
  const minted = async () => {
    const names = (await app.database.reader.find(ApiKey, { where: { projectId }, select: { name: true } })).map(({ name }) => name);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    return new Set(names);
  };
  const done = await minted();
  for (const key of answered.keys()) expect(done.has(key)).toBe(true);
  for (const key of sent) {
    const { data, errors, extensions } = await mint(app.url, key);
    if (answered.has(key))
      expect([data.mintKey.key, data.mintKey.secret, extensions.idempotencyReplay]).toEqual([answered.get(key), null, true]);
    else if (!done.has(key))
      expect([errors, extensions.idempotencyReplay]).toEqual([undefined, undefined]); // it had not run before, and runs now
    else if (errors) expect([key, errors[0].extensions.reason]).toEqual([key, 'DONE']);
    else expect([data.mintKey.key.name, extensions.idempotencyReplay]).toEqual([key, true]);
  }
  expect([...(await minted())].sort()).toEqual([...sent].sort());
}, 120_000);
