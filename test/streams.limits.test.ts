import { connect } from 'node:net';
import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildWorkspace } from './support/factories';
import { followBySse, type Followed } from './support/streams';
import { until } from './support/until';

jest.setTimeout(120_000); // other test files take the processors too

// What subscriptions may take of a process, and what is left when they are gone.

let app: TestApp;
const open: Followed[] = [];

beforeAll(async () => {
  app = await createTestApp();
  app.sealer.start();
});
afterEach(() => open.splice(0).forEach((stream) => stream.stop()));
afterAll(() => app.close());

const BUDGETS = 'subscription ($workspaceId: ID!) { budgetChanged(workspaceId: $workspaceId) { newestEntryId } }';

const follow = (query: string, variables: Record<string, unknown>, credential = app.rootKey): Followed => {
  const stream = followBySse({ url: app.url, credential, query, variables });
  open.push(stream);
  return stream;
};

const connectionsOf = ({ server }: TestApp): Promise<number> => new Promise((resolve, reject) => server.server.getConnections((error, count) => (error ? reject(error) : resolve(count))));

it('who hangs up before they were recognised keeps no place', async () => {
  const workspace = await buildWorkspace(app);
  const { secret } = await buildKey(app, { workspace, permissions: ['read.wallet'] });
  const body = JSON.stringify({ query: BUDGETS, variables: { workspaceId: workspace.id } });
  const request = `POST /graphql/stream HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\nX-Api-Key: ${secret}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const identify = app.gate.identify.bind(app.gate);
  let asked = 0;
  const slow = jest.spyOn(app.gate, 'identify').mockImplementation(async (...given) => {
    asked += 1;
    await until(async () => (await connectionsOf(app)) === 0, 'everybody to hang up');
    return identify(...given);
  });
  const sockets = Array.from({ length: 40 }, () => connect(Number(new URL(app.url).port), '127.0.0.1')); // more than one owner has places
  for (const socket of sockets) socket.on('error', () => undefined).write(request);
  await until(() => asked === sockets.length, 'all to be asked who they are');
  for (const socket of sockets) socket.destroy();
  await Promise.all(slow.mock.results.map(({ value }) => value as Promise<unknown>));
  slow.mockRestore();
  await until(async () => {
    const stream = follow(BUDGETS, { workspaceId: workspace.id }, secret);
    await until(() => stream.events.length > 0 || stream.ended !== undefined, 'a stream to begin, or be refused');
    return stream.events.length > 0;
  }, 'a place');
});
