import { createTestApp, type TestApp } from './support/app';
import { buildKey, buildWorkspace } from './support/factories';
import { until } from './support/until';
import { WAYS, type Followed } from './support/streams';

jest.setTimeout(90_000); // other test files take the processors too

let app: TestApp;
const open: Followed[] = [];

beforeAll(async () => {
  app = await createTestApp();
  app.sealer.start();
});
afterEach(() => open.splice(0).forEach((stream) => stream.stop()));
afterAll(() => app.close());

const LOGGED = 'subscription ($workspaceId: ID!, $filter: RequestLogFilter, $after: String) { requestLogged(workspaceId: $workspaceId, filter: $filter, after: $after) { cursor requestLog { id action outcome key { name } project { id } } } }';

describe.each(WAYS)('over %s', (_way, follow) => {
  const started: typeof follow = (...args) => {
    const stream = follow(...args);
    open.push(stream);
    return stream;
  };

  it('requestLogged tells of each call once, as the calls are logged', async () => {
    const workspace = await buildWorkspace(app);
    const { secret } = await buildKey(app, { workspace });
    const stream = started({ url: app.url, credential: app.rootKey, query: LOGGED, variables: { workspaceId: workspace.id } });
    await until(async () => (await app.rest({ secret }), stream.events.length > 0 || stream.ended !== undefined), 'the stream to be open');
    expect([stream.ended, stream.errors]).toEqual([undefined, []]);
    expect(stream.events[0].requestLogged.requestLog).toMatchObject({ action: 'demo.echo', outcome: 'SUCCEEDED', key: { name: 'Key' } });
  });
});
