import { Workspace } from '../src/tenancy/workspace.entity';
import type { TestApp } from './support/app';
import { codeAt } from './support/authenticator';
import { mutations } from './support/mutate';
import { closeNodes, createNodes } from './support/nodes';
import { buildPerson, enableSecondFactor, signIn, statusOf, type BuiltPerson } from './support/people';

const STEP_MS = 30_000;
const DAY_MS = 86_400_000;

let app: TestApp;
let other: TestApp;
let ada: BuiltPerson;
let secret: string;
let recoveryCodes: string[];

beforeAll(async () => {
  [app, other] = await createNodes();
});

beforeEach(async () => {
  ada = await buildPerson(app);
  ({ secret, recoveryCodes } = await enableSecondFactor(app, ada, await now()));
});

afterAll(() => closeNodes(other, app));

const now = async (): Promise<number> => (await app.database.now()).getTime();
const tryCode = async (code?: string, node = app) =>
  (await signIn(node, { email: ada.person.email, password: ada.password, ...(code !== undefined && { code }) })).outcome;

it('a sign-in without a code is told that a code is needed, and gets no session', async () => {
  const { outcome, cookie } = await signIn(app, { email: ada.person.email, password: ada.password });
  expect([outcome, cookie.cookie]).toEqual(['SECOND_FACTOR_REQUIRED', '']);
  expect((await signIn(app, { email: ada.person.email, password: 'not this one' })).outcome).toBe('UNAUTHENTICATED');
});

it('a code works once, even in parallel on two nodes, and earlier codes stop working', async () => {
  const time = await now();
  expect(await tryCode(codeAt(secret, time))).toBe('UNAUTHENTICATED'); // already used to confirm the second factor
  const next = codeAt(secret, time + STEP_MS); // one step ahead, the most that clocks may differ
  const outcomes = await Promise.all([app, other, app, other].map((node) => tryCode(next, node)));
  expect(outcomes.sort()).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED', 'ok']);
  expect(await tryCode(codeAt(secret, time))).toBe('UNAUTHENTICATED');
});

it('a code two steps ahead or behind is refused', async () => {
  const time = await now();
  for (const steps of [2, -2]) expect(await tryCode(codeAt(secret, time + steps * STEP_MS))).toBe('UNAUTHENTICATED');
});

it('after a clock that was a day ahead is corrected, the next code works once', async () => {
  for (const node of [app, other]) node.travel(DAY_MS);
  try {
    expect(await tryCode(codeAt(secret, await now()))).toBe('ok');
  } finally {
    for (const node of [app, other]) node.travel(-DAY_MS);
  }
  const code = codeAt(secret, (await now()) + STEP_MS);
  expect([await tryCode(code), await tryCode(code)]).toEqual(['ok', 'UNAUTHENTICATED']);
});

it('a recovery code works once, even in parallel on two nodes, in every spelling', async () => {
  expect(recoveryCodes).toHaveLength(10);
  const outcomes = await Promise.all([app, other].map((node) => tryCode(recoveryCodes[0], node)));
  expect(outcomes.sort()).toEqual(['UNAUTHENTICATED', 'ok']);
  expect(await tryCode(recoveryCodes[1]?.toUpperCase().replace('-', ' '))).toBe('ok');
});

it('a second factor is not on before a code confirms it', async () => {
  const bob = await buildPerson(app);
  const { mutate, refusal } = mutations(app);
  expect((await refusal('confirmSecondFactor', { code: '123456' }, bob.cookie)).code).toBe('CONFLICT');
  expect((await refusal('beginSecondFactor', { password: 'not this one' }, bob.cookie)).code).toBe('UNAUTHENTICATED');
  await mutate('beginSecondFactor', { password: bob.password }, 'secret', bob.cookie);
  expect((await refusal('confirmSecondFactor', { code: 'abcdef' }, bob.cookie)).issues?.[0]?.path).toEqual(['input', 'code']);
  expect((await signIn(app, { email: bob.person.email, password: bob.password })).outcome).toBe('ok');
  expect((await refusal('beginSecondFactor', { password: ada.password }, ada.cookie)).issues?.[0]?.path).toEqual(['input', 'code']);
});

it('a signed-in person may guess a code ten times, also with the right password and during setup', async () => {
  const bob = await buildPerson(app);
  const { mutate, refusal } = mutations(app);
  await mutate('beginSecondFactor', { password: bob.password }, 'secret', bob.cookie);
  const guess = async (name: string, input: Record<string, unknown>, { cookie }: BuiltPerson) => {
    const codes: string[] = [];
    for (let time = 0; time < 12; time++) codes.push((await refusal(name, { ...input, code: '000000' }, cookie)).code);
    return codes;
  };
  const limited = (code: string) => [...Array<string>(10).fill(code), 'RATE_LIMITED', 'RATE_LIMITED'];
  expect(await guess('removeSecondFactor', { password: ada.password }, ada)).toEqual(limited('UNAUTHENTICATED'));
  expect(await guess('confirmSecondFactor', {}, bob)).toEqual(limited('INVALID_REQUEST'));
});

it('can be replaced with password and code even if a workspace requires it, and gets new recovery codes', async () => {
  await app.database.transaction((tx) => tx.update(Workspace, { id: ada.workspace.id }, { requiresSecondFactor: true }));
  const { mutate, refusal } = mutations(app);
  const begin = { password: ada.password, code: recoveryCodes[0] };
  expect((await refusal('beginSecondFactor', { ...begin, code: '000000' }, ada.cookie)).code).toBe('UNAUTHENTICATED');
  expect((await refusal('beginSecondFactor', { ...begin, password: 'not this one' }, ada.cookie)).code).toBe('UNAUTHENTICATED');
  const next = await mutate('beginSecondFactor', begin, 'secret', ada.cookie);
  expect((await refusal('beginSecondFactor', begin, ada.cookie)).code).toBe('UNAUTHENTICATED'); // the recovery code was used
  expect((await refusal('confirmSecondFactor', { code: codeAt(secret, (await now()) + STEP_MS) }, ada.cookie)).code).toBe(
    'INVALID_REQUEST',
  );
  expect(await tryCode(recoveryCodes[1])).toBe('ok'); // the earlier second factor is still on
  const time = await now();
  const confirmed = await mutate('confirmSecondFactor', { code: codeAt(next.secret, time) }, 'recoveryCodes', ada.cookie);
  expect(await tryCode(recoveryCodes[2])).toBe('UNAUTHENTICATED');
  expect(await tryCode(codeAt(secret, time + STEP_MS))).toBe('UNAUTHENTICATED');
  expect(await tryCode(codeAt(next.secret, time))).toBe('UNAUTHENTICATED'); // already used to confirm
  expect(await tryCode(codeAt(next.secret, time + STEP_MS))).toBe('ok');
  expect(await tryCode(confirmed.recoveryCodes[0])).toBe('ok');
});

it('turning a second factor on ends all other sessions of the person', async () => {
  const bob = await buildPerson(app);
  const { cookie } = await signIn(other, { email: bob.person.email, password: bob.password });
  const first = await enableSecondFactor(app, bob, await now());
  expect([await statusOf(other, cookie), await statusOf(other, bob.cookie)]).toEqual([401, 200]);
  const again = await signIn(other, { email: bob.person.email, password: bob.password, code: first.recoveryCodes[0] as string });
  const { mutate } = mutations(app);
  const next = await mutate('beginSecondFactor', { password: bob.password, code: first.recoveryCodes[1] }, 'secret', bob.cookie);
  await mutate('confirmSecondFactor', { code: codeAt(next.secret, await now()) }, 'recoveryCodes', bob.cookie);
  expect([await statusOf(other, again.cookie), await statusOf(other, bob.cookie)]).toEqual([401, 200]);
});

it('turning it off needs password and code, and is refused while a workspace requires it', async () => {
  const { mutate, refusal } = mutations(app);
  const remove = { password: ada.password, code: recoveryCodes[0] };
  const require = (requiresSecondFactor: boolean) =>
    app.database.transaction((tx) => tx.update(Workspace, { id: ada.workspace.id }, { requiresSecondFactor }));
  await require(true);
  expect((await refusal('removeSecondFactor', remove, ada.cookie)).code).toBe('CONFLICT');
  await require(false);
  expect((await refusal('removeSecondFactor', { ...remove, code: '000000' }, ada.cookie)).code).toBe('UNAUTHENTICATED');
  expect((await refusal('removeSecondFactor', { ...remove, password: 'not this one' }, ada.cookie)).code).toBe('UNAUTHENTICATED');
  expect((await mutate('removeSecondFactor', remove, 'user { secondFactorEnabled }', ada.cookie)).user.secondFactorEnabled).toBe(false);
  expect(await tryCode()).toBe('ok');
});
