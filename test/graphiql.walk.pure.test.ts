import type { Locator, Page } from 'playwright-core';
import { MANUAL } from '../src/lib/manual';
import { createTestApp, type TestApp } from './support/app';
import { barriers } from './support/axe';
import { withBrowserPage } from './support/browser';
import { buildKey, buildProject, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { until } from './support/until';

// Complete tasks in a browser, by keyboard only. Checks for accessibility barriers at each step.

jest.setTimeout(180_000);

let app: TestApp;

beforeAll(async () => {
  app = await createTestApp();
});

afterAll(() => app.close());

const PASSWORD = 'a new horse, a new battery';

const NOTHING = { foreignRequests: [], consoleErrors: [], pageErrors: [], failedRequests: [] };

/** Checks accessibility only with SQLite, because the pages do not depend on the database. */
async function expectNoBarriers(page: Page, where: string): Promise<void> {
  if (app.database.settings.type !== 'sqlite') return;
  expect({ where, barriers: await barriers(page) }).toEqual({ where, barriers: [] });
}

/** Presses Tab until `target` has the focus. Throws if Tab does not reach it. */
async function tabTo(page: Page, target: Locator): Promise<void> {
  await target.waitFor({ state: 'attached' });
  for (let steps = 0; steps < 150; steps++) {
    if (await target.evaluate<boolean, HTMLLikeElement>((element) => element === element.ownerDocument.activeElement)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error('Tab does not reach the element.');
}

/** The part of an element that this file uses, because the tests are compiled without the types of the DOM. */
interface HTMLLikeElement {
  ownerDocument: { activeElement: unknown };
}

const editor = (page: Page, name: string): Locator => page.getByRole('textbox', { name, exact: true });

async function type(page: Page, into: string, text: string): Promise<void> {
  await tabTo(page, editor(page, into));
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(text); // like a paste, because the editor adds closing brackets to typed text
}

async function openGraphiql(page: Page): Promise<void> {
  await page.goto(`${app.url}/graphql`);
  await page.getByRole('button', { name: 'Show Examples' }).waitFor();
  await editor(page, 'Headers').waitFor({ state: 'attached' });
}

/** Runs the operation in the editor with Ctrl-Enter. Returns the answer of the server. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the shape of its answer
async function run(page: Page): Promise<any> {
  const answer = page.waitForResponse((response) => response.url() === `${app.url}/graphql` && response.request().method() === 'POST');
  await page.keyboard.press('Control+Enter');
  return (await answer).json();
}

/** Waits until GraphiQL has read the name of the operation in its editor, which it sends with the request. */
async function untilRead(page: Page, operation: string): Promise<void> {
  const read = async (): Promise<string | undefined> => {
    const saved = await page.evaluate<string | null>('localStorage.getItem("graphiql:tabState")');
    const { tabs, activeTabIndex } = JSON.parse(saved ?? '{"tabs":[],"activeTabIndex":0}') as {
      tabs: { operationName: string }[];
      activeTabIndex: number;
    };
    return tabs[activeTabIndex]?.operationName;
  };
  await until(async () => (await read()) === operation, `GraphiQL to have read ${operation}`);
}

async function openExample(page: Page, title: string, variables: Record<string, unknown>): Promise<void> {
  await tabTo(page, page.getByRole('region', { name: 'Examples' }).getByRole('button', { name: title, exact: true }));
  await page.keyboard.press('Enter');
  await untilRead(page, title);
  await type(page, 'Variables', JSON.stringify(variables));
}

it('mints a key in GraphiQL by keyboard, calls with it, and finds it in the log; docs, history and results have no barriers', async () => {
  const project = await buildProject(app, { workspace: await buildWorkspace(app), budget: 1_000_000 });
  await withBrowserPage(async (page, record) => {
    await openGraphiql(page);
    await expectNoBarriers(page, 'at first');
    await type(page, 'Headers', JSON.stringify({ 'X-Api-Key': app.rootKey }));

    await tabTo(page, page.getByRole('button', { name: 'Show Examples' }));
    await page.keyboard.press('Enter');
    const titles = await page.getByRole('region', { name: 'Examples' }).getByRole('listitem').allInnerTexts();
    expect(titles).toEqual(MANUAL.examples.map(({ title }) => title));
    await openExample(page, 'Mint', { input: { projectId: project.id, name: 'Checkout', permissions: ['demo.*'] } });
    const minted = await run(page);
    const { secret, key } = minted.data.mintKey;
    await page.locator('.result-window').getByText(`"${secret}"`).waitFor();
    await expectNoBarriers(page, 'with the examples and a result');

    const call = await app.rest({ secret });
    expect(call.status).toBe(200);
    await openExample(page, 'Calls', { projectId: project.id });
    const logged = await run(page);
    expect(logged.data.project.requestLogs.nodes).toEqual([
      expect.objectContaining({
        action: 'demo.echo',
        outcome: 'SUCCEEDED',
        chargedMicroCredits: 1000,
        key: { id: key.id, name: 'Checkout' },
      }),
    ]);
    await page.locator('.result-window').getByText('"SUCCEEDED"').waitFor();

    await tabTo(page, page.getByRole('button', { name: 'Show Documentation Explorer' }));
    await page.keyboard.press('Enter');
    const docs = page.locator('.graphiql-doc-explorer');
    await tabTo(page, docs.getByRole('link', { name: 'Mutation', exact: true }));
    await page.keyboard.press('Enter');
    await tabTo(page, docs.getByRole('link', { name: 'mintKey', exact: true }));
    await page.keyboard.press('Enter');
    await docs.getByText('Its secret is only in this answer').waitFor();
    await expectNoBarriers(page, 'with the docs');

    await tabTo(page, page.getByRole('button', { name: 'Show History' }));
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Calls', exact: true }).first().waitFor();
    await tabTo(page, page.getByRole('button', { name: 'Add tab' }));
    await page.keyboard.press('Enter');
    await page.locator('.graphiql-tab').nth(1).waitFor();
    await expectNoBarriers(page, 'with the history and two tabs');
    expect(record).toEqual(NOTHING);
  });
});

it('follows a budget in GraphiQL: new balances appear until the subscription is stopped', async () => {
  const project = await buildProject(app, { workspace: await buildWorkspace(app), budget: 5_000 });
  const { secret } = await buildKey(app, { project });
  await withBrowserPage(async (page, record) => {
    await openGraphiql(page);
    await type(page, 'Headers', JSON.stringify({ 'X-Api-Key': app.rootKey }));
    await type(page, 'Operation', `subscription Follow { budgetChanged(workspaceId: "${project.workspaceId}") { budget { balance } } }`);
    await untilRead(page, 'Follow');
    await page.keyboard.press('Control+Enter');
    const result = page.locator('.result-window');
    await result.getByText('5000').first().waitFor();
    expect((await app.rest({ secret })).status).toBe(200);
    await result.getByText('4000').first().waitFor();
    await tabTo(page, page.getByRole('button', { name: /stop/i }));
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: /execute/i }).waitFor();
    expect(record).toEqual(NOTHING);
  });
});

/** A script for the browser: `kept` records all stored values, and `forgotten` counts removals of the document. */
const WATCH_STORAGE = `(() => {
  window.kept = [];
  window.forgotten = 0;
  const { setItem, removeItem } = Storage.prototype;
  Storage.prototype.setItem = function (name, value) {
    window.kept.push(value);
    return setItem.call(this, name, value);
  };
  Storage.prototype.removeItem = function (name) {
    if (name === 'graphiql:query') window.forgotten += 1;
    return removeItem.call(this, name);
  };
})()`;

it('accepts an invitation by its link, resets the password by another link, and signs in; GraphiQL uses each session', async () => {
  const workspace = await buildWorkspace(app);
  const { mutate } = mutations(app);
  const email = 'ada.of.the.browser@example.com';
  await withBrowserPage(async (page, record) => {
    const { link } = await mutate('inviteMember', { workspaceId: workspace.id, email, roleId: 'rol_owner' }, 'link');
    await page.goto(link as string);
    await expectNoBarriers(page, 'on the page of an invitation');
    await tabTo(page, page.getByLabel('Your name'));
    await page.keyboard.type('Ada');
    await tabTo(page, page.getByLabel('A new password'));
    await page.keyboard.type('short');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('at least 12 characters').waitFor();
    await expectNoBarriers(page, 'on the page of an invitation, corrected');
    await tabTo(page, page.getByLabel('A new password'));
    await page.keyboard.type('correct horse battery staple');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: `Welcome to ${workspace.name}` }).waitFor();
    await expectNoBarriers(page, 'once it is accepted');

    await tabTo(page, page.getByRole('link', { name: 'Explore the admin API' }));
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Show Examples' }).waitFor();
    await tabTo(page, editor(page, 'Operation'));
    expect((await run(page)).data).toMatchObject({ viewer: { kind: 'USER', name: 'Ada' }, workspaces: { nodes: [{ id: workspace.id }] } });

    const reset = await mutate('requestPasswordReset', { email }, 'link');
    await page.goto(reset.link as string);
    await expectNoBarriers(page, 'on the page of a reset');
    await tabTo(page, page.getByLabel('Your new password'));
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'The password is set' }).waitFor();
    await expectNoBarriers(page, 'once the password is set');
    expect(record).toEqual({ ...NOTHING, consoleErrors: [expect.stringContaining('400')] }); // the answer to the short password

    await page.addInitScript(WATCH_STORAGE);
    await openGraphiql(page);
    await tabTo(page, editor(page, 'Operation'));
    // The reset has ended all sessions
    expect((await run(page)).errors).toEqual([expect.objectContaining({ extensions: { code: 'UNAUTHENTICATED' } })]);
    await tabTo(page, page.getByRole('button', { name: 'Show Examples' }));
    await page.keyboard.press('Enter');
    await tabTo(page, page.getByRole('region', { name: 'Examples' }).getByRole('button', { name: 'Return', exact: true }));
    await page.keyboard.press('Enter');
    await type(page, 'Variables', JSON.stringify({ input: { email, password: PASSWORD } }));
    await until(async () => (await run(page)).data?.signIn?.viewer?.name === 'Ada', 'the example to sign Ada in');
    await type(page, 'Variables', '{}');
    await page.evaluate('window.forgotten = 0');
    await type(page, 'Operation', `mutation Again { signIn(input: { email: "${email}", password: "${PASSWORD}" }) { viewer { name } } }`);
    await until(async () => (await run(page)).data?.signIn?.viewer?.name === 'Ada', 'Ada to have signed in again');
    await until(async () => (await page.evaluate<number>('window.forgotten')) > 0, 'GraphiQL to have asked for it to be stored');
    expect(await page.evaluate<string>('JSON.stringify(window.kept)')).not.toContain('horse');
    await type(page, 'Operation', 'query Me { viewer { kind name } }');
    await untilRead(page, 'Me');
    expect((await run(page)).data).toEqual({ viewer: { kind: 'USER', name: 'Ada' } });
    const kept = await page.evaluate<string>('JSON.stringify(window.kept)');
    expect([kept.includes('query Me'), kept.includes('horse')]).toEqual([true, false]);
  });
});
