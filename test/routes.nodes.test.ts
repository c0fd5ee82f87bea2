import { RouteTable } from '../src/routes/route-table';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildAction, buildRoute } from './support/factories';
import { closeNodes, createNodes } from './support/nodes';
import { onMysql } from './support/on-database';
import { prepareOutage, type Outage } from './support/outage';
import { until } from './support/until';

// How the processes of one installation follow changes of the routes.

let node: TestApp;
let other: TestApp;
let actionId: string;

beforeAll(async () => {
  [node, other] = await createNodes();
  actionId = (await buildAction(node, { upstreamUrl: 'http://upstream.invalid' })).id;
});

afterAll(() => closeNodes(other, node));

/** The id and version of the route that a process finds, or the kind of its answer. */
function found({ routes }: Pick<TestApp, 'routes'>, rawUrl: string): string {
  const match = routes.table.match('GET', 'api.example.com', rawUrl);
  return match.kind === 'route' ? `${match.route.id} ${match.route.version}` : match.kind;
}

/** Waits until a process finds this. Fails after a second. */
const follows = (app: TestApp, rawUrl: string, expected: string) =>
  until(() => found(app, rawUrl) === expected, `${rawUrl} to be ${expected}`, 1_000);

it('a route that one node creates, changes and deletes counts on another node within a second', async () => {
  other.routes.start();
  const { id } = await buildRoute(node, { actionId, path: '/followed/:id' });
  expect(found(node, '/followed/1')).toBe(`${id} 1`);
  await follows(other, '/followed/1', `${id} 1`);
  await node.services.routes.update(ORIGIN, { id, path: '/renamed/:id' });
  await follows(other, '/renamed/1', `${id} 2`);
  expect(found(other, '/followed/1')).toBe('noRoute');
  await node.services.routes.update(ORIGIN, { id, enabled: false });
  await follows(other, '/renamed/1', 'noRoute');
  await node.services.routes.update(ORIGIN, { id, enabled: true });
  await follows(other, '/renamed/1', `${id} 4`);
  await node.services.routes.delete(ORIGIN, { id });
  await follows(other, '/renamed/1', 'noRoute');
  await other.routes.stop();
});

it('a process knows the routes when it starts', async () => {
  const { id } = await buildRoute(node, { actionId, path: '/early' });
  const late = await createTestApp({ databaseUrl: node.databaseUrl });
  expect(found(late, '/early')).toBe(`${id} 1`);
  await late.close();
});

it('a process does not read the routes again while there are no changes', async () => {
  await node.routes.once();
  const built = jest.spyOn(RouteTable, 'of');
  await node.routes.once();
  expect(built).not.toHaveBeenCalled();
  await buildRoute(other, { actionId });
  await node.routes.once();
  expect(built).toHaveBeenCalled();
  built.mockRestore();
});

describe('reload', () => {
  it('gives a table with every change that was committed before it, even if a reload is in progress', async () => {
    let goOn = (): void => undefined;
    const held = new Promise<void>((resolve) => (goOn = resolve));
    const build = RouteTable.of;
    const built = jest.spyOn(RouteTable, 'of').mockImplementationOnce((routes) => held.then(() => build(routes)));
    const earlier = node.routes.reload();
    await until(() => built.mock.calls.length === 1, 'the earlier reload to have read the routes');
    const { id } = await buildRoute(other, { actionId, path: '/between' });
    const later = node.routes.reload();
    goOn();
    await Promise.all([earlier, later]);
    expect(found(node, '/between')).toBe(`${id} 1`);
    built.mockRestore();
  });

  it('is shared by callers at the same time: one reload in progress, and one for all who came later', async () => {
    const built = jest.spyOn(RouteTable, 'of');
    await Promise.all(Array.from({ length: 50 }, () => node.routes.reload()));
    expect(built).toHaveBeenCalledTimes(2);
    built.mockRestore();
  });
});

onMysql('while the database is away', () => {
  let outage: Outage;
  let cut: TestApp;

  beforeAll(async () => {
    outage = await prepareOutage(node.databaseUrl);
    cut = await createTestApp({ databaseUrl: outage.url });
    cut.routes.start();
  });

  afterAll(() => cut.close());

  it('the last table stays in use; afterwards the process follows again', async () => {
    const { id } = await buildRoute(node, { actionId, path: '/kept' });
    await follows(cut, '/kept', `${id} 1`);
    await outage.begin();
    await until(() => cut.logLines.filter((line) => line.includes('reading the routes failed')).length > 1, 'two failed polls');
    await expect(cut.routes.reload()).rejects.toThrow();
    expect(found(cut, '/kept')).toBe(`${id} 1`);
    await outage.end();
    await node.services.routes.update(ORIGIN, { id, path: '/kept-and-changed' });
    await until(() => found(cut, '/kept-and-changed') === `${id} 2`, 'the process to follow again');
  });
});
