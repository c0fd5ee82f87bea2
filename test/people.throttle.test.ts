import { setTimeout as wait } from 'node:timers/promises';
import argon2 from '@node-rs/argon2';
import { In } from 'typeorm';
import { Invitation } from '../src/access/people/invitation.entity';
import { Throttle } from '../src/access/sessions/throttle.entity';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { PASSWORD, buildPerson, signIn, tokenOf } from './support/people';
import { statementsOf } from './support/statements';

const DAY_MS = 86_400_000;

const closings: (() => Promise<void>)[] = [];

afterAll(async () => {
  for (const close of closings) await close();
});

async function node(databaseUrl?: string): Promise<TestApp> {
  const app = await createTestApp({ ...(databaseUrl && { databaseUrl }) });
  let closed: Promise<void> | undefined;
  const close = () => (closed ??= app.close());
  closings.push(close);
  return { ...app, close };
}

const countOf = (outcomes: { outcome: string }[], wanted: string): number => outcomes.filter(({ outcome }) => outcome === wanted).length;

it('checks 10 of 50 parallel wrong passwords on two nodes, counts them across a restart, and allows one more each minute', async () => {
  const a = await node();
  const other = await node(a.databaseUrl);
  const { person } = await buildPerson(a);
  const tries = await Promise.all(
    Array.from({ length: 50 }, (_, index) => signIn(index % 2 ? a : other, { email: person.email, password: 'not this one' })),
  );
  expect([countOf(tries, 'UNAUTHENTICATED'), countOf(tries, 'RATE_LIMITED')]).toEqual([10, 40]);
  expect(tries.find(({ outcome }) => outcome === 'RATE_LIMITED')?.message).toMatch(/^Too many tries; wait (\d+) seconds?\.$/);
  await a.close();
  await other.close();
  const restarted = await node(a.databaseUrl);
  expect((await signIn(restarted, { email: person.email, password: PASSWORD })).outcome).toBe('RATE_LIMITED');
  restarted.travel(60_000);
  expect((await signIn(restarted, { email: person.email, password: 'not this one' })).outcome).toBe('UNAUTHENTICATED');
  expect((await signIn(restarted, { email: person.email, password: PASSWORD })).outcome).toBe('RATE_LIMITED');
});

it('after a clock that was a day ahead is corrected, tries are blocked no longer than by a full burst', async () => {
  const app = await node();
  const { person } = await buildPerson(app);
  const outcomes = (count: number) =>
    Promise.all(Array.from({ length: count }, async () => (await signIn(app, { email: person.email, password: 'not this one' })).outcome));
  app.travel(DAY_MS);
  await outcomes(12);
  app.travel(-DAY_MS);
  expect(await outcomes(1)).toEqual(['RATE_LIMITED']);
  app.travel(60_000);
  expect((await outcomes(2)).sort()).toEqual(['RATE_LIMITED', 'UNAUTHENTICATED']);
});

it('a right password gives back the try of its account and of its address', async () => {
  const app = await node();
  const { person } = await buildPerson(app);
  for (let time = 0; time < 60; time++) expect((await signIn(app, { email: person.email, password: PASSWORD })).outcome).toBe('ok');
});

/** Signs in from an address, with the cookies of its browser. */
async function signInFrom(
  app: TestApp,
  remoteAddress: string,
  input: { email: string; password: string },
  cookie = '',
): Promise<{ outcome: string; device: string }> {
  const query = 'mutation ($input: SignInInput!) { signIn(input: $input) { viewer { id } } }';
  const answer = await app.server.inject({
    method: 'POST',
    url: '/graphql',
    remoteAddress,
    headers: { cookie },
    payload: { query, variables: { input } },
  });
  const { errors } = answer.json<{ errors?: { extensions: { code: string } }[] }>();
  const device = answer.cookies.find(({ name }) => name === 'tollgate_device');
  return { outcome: errors?.[0]?.extensions.code ?? 'ok', device: device ? `tollgate_device=${device.value}` : '' };
}

/** Makes wrong guesses at an account from many addresses. Returns the number of guesses that were checked. */
async function guess(app: TestApp, email: string, count: number): Promise<number> {
  let checked = 0;
  const verify = jest.spyOn(argon2, 'verify').mockResolvedValue(false); // each guess is wrong and takes no time
  for (let index = 0; index < count; index++) {
    const { outcome } = await signInFrom(app, `203.0.113.${index % 250}`, { email, password: `guess ${index}` });
    if (outcome === 'UNAUTHENTICATED') checked += 1;
  }
  verify.mockRestore();
  return checked;
}

it('limits strangers to 100 guesses at an account, then one a minute, while the owner signs in on a known device', async () => {
  const app = await node();
  const { person } = await buildPerson(app);
  const right = { email: person.email, password: PASSWORD };
  const { device } = await signInFrom(app, '198.51.100.1', right);
  expect(await guess(app, person.email, 130)).toBeLessThanOrEqual(100 + 2);
  expect((await signInFrom(app, '198.51.100.1', right)).outcome).toBe('RATE_LIMITED');
  for (const address of ['198.51.100.1', '198.51.100.2']) expect((await signInFrom(app, address, right, device)).outcome).toBe('ok');
  const wrong = { email: person.email, password: 'not this one' };
  const stolen = [];
  for (let index = 0; index < 11; index++) stolen.push((await signInFrom(app, '198.51.100.3', wrong, device)).outcome);
  expect(stolen).toEqual([...Array<string>(10).fill('UNAUTHENTICATED'), 'RATE_LIMITED']);
  const forged = device.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'));
  expect((await signInFrom(app, '198.51.100.1', right, forged)).outcome).toBe('RATE_LIMITED');
  const { person: other } = await buildPerson(app);
  await guess(app, other.email, 101);
  // The device never signed in to this account
  expect((await signInFrom(app, '198.51.100.1', { email: other.email, password: PASSWORD }, device)).outcome).toBe('RATE_LIMITED');
});

it('a password reset lets the owner sign in from the same device and address, and strangers cannot block the device', async () => {
  const app = await node();
  const { person } = await buildPerson(app);
  const newPassword = 'another horse, another battery';
  const right = { email: person.email, password: newPassword };
  await guess(app, person.email, 101);
  for (let index = 0; index < 10; index++) await signInFrom(app, '198.51.100.9', { email: person.email, password: 'not this one' });
  const token = tokenOf((await app.people.passwords.resetLink(ORIGIN, person.email)) ?? '');
  const query = 'mutation ($input: ResetPasswordInput!) { resetPassword(input: $input) { changed } }';
  const answer = await app.server.inject({
    method: 'POST',
    url: '/graphql',
    remoteAddress: '198.51.100.9',
    payload: { query, variables: { input: { token, newPassword } } },
  });
  const device = `tollgate_device=${answer.cookies.find(({ name }) => name === 'tollgate_device')?.value}`;
  expect((await signInFrom(app, '198.51.100.9', right)).outcome).toBe('ok');
  await guess(app, person.email, 101);
  expect([(await signInFrom(app, '198.51.100.9', right)).outcome, (await signInFrom(app, '198.51.100.9', right, device)).outcome]).toEqual([
    'RATE_LIMITED',
    'ok',
  ]);
});

it('deletes the counts of tries once they have no effect', async () => {
  const app = await node();
  for (let index = 0; index < 20; index++) await guess(app, `nobody-${index}@example.com`, 1);
  const rows = () => app.database.reader.count(Throttle);
  expect(await rows()).toBe(41);
  app.travel(DAY_MS);
  for (let index = 0; index < 256; index++) await app.oauth.throttles.take({ name: 'other', burst: 1_000, intervalMs: 1 });
  expect(await rows()).toBeLessThanOrEqual(1);
});

it('a signed-in person has separate tries, and can change the password while strangers use up all others', async () => {
  const app = await node();
  const { person, cookie } = await buildPerson(app);
  await Promise.all(Array.from({ length: 60 }, () => signIn(app, { email: person.email, password: 'not this one' })));
  await Promise.all(
    Array.from({ length: 60 }, (_, index) => signIn(app, { email: `nobody-${index}@example.com`, password: 'not this one' })),
  );
  expect((await signIn(app, { email: person.email, password: PASSWORD })).outcome).toBe('RATE_LIMITED');
  const { mutate, refusal } = mutations(app);
  const newPassword = 'another horse, another battery';
  await mutate('changePassword', { currentPassword: PASSWORD, newPassword }, 'user { id }', cookie);
  const guesses = await Promise.all(
    Array.from(
      { length: 12 },
      async () => (await refusal('changePassword', { currentPassword: 'not this one', newPassword }, cookie)).code,
    ),
  );
  expect(guesses.sort()).toEqual(['RATE_LIMITED', 'RATE_LIMITED', ...Array<string>(10).fill('UNAUTHENTICATED')]);
});

it('an address gets 50 tries at once, for all accounts together', async () => {
  const app = await node();
  const tries = await Promise.all(
    Array.from({ length: 70 }, (_, index) => signIn(app, { email: `nobody-${index}@example.com`, password: PASSWORD })),
  );
  expect([countOf(tries, 'UNAUTHENTICATED'), countOf(tries, 'RATE_LIMITED')]).toEqual([50, 20]);
  const { id: workspaceId } = await buildWorkspace(app);
  const { link } = await app.people.invitations.invite(ORIGIN, { workspaceId, email: 'new@example.com', roleId: 'rol_viewer' });
  expect(
    (await mutations(app).refusal('acceptInvitation', { token: tokenOf(link ?? ''), name: 'Ada', password: PASSWORD }, null)).code,
  ).toBe('RATE_LIMITED');
});

it('an invitation allows ten password hashes, and none after its inviter lost the permission', async () => {
  const app = await node();
  const inviter = await buildPerson(app);
  const { workspace } = inviter;
  await buildPerson(app, { workspace });
  const { hash } = argon2;
  const hashed = jest.spyOn(argon2, 'hash');
  const verified = jest.spyOn(argon2, 'verify');
  // Waits until all other requests have found a valid link
  const slowly = (...given: Parameters<typeof hash>) => wait(1_000).then(() => hash(...given));
  hashed.mockImplementationOnce(slowly).mockImplementationOnce(slowly);
  const follow = (link: string | null) =>
    app.graphql(
      'mutation ($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { __typename } }',
      { input: { token: tokenOf(link ?? ''), name: 'Ada', password: PASSWORD } },
      null,
    );
  const { link: alive } = await app.people.invitations.invite(ORIGIN, {
    workspaceId: workspace.id,
    email: 'alive@example.com',
    roleId: 'rol_viewer',
  });
  const followed = await Promise.all(Array.from({ length: 30 }, () => follow(alive)));
  expect(followed.filter(({ errors }) => !errors)).toHaveLength(1);
  expect(hashed.mock.calls.length).toBeLessThanOrEqual(10);
  const { person: known } = await buildPerson(app);
  const emails = ['new@example.com', known.email];
  const links = [];
  for (const email of emails)
    links.push((await app.people.invitations.invite(ORIGIN, { workspaceId: workspace.id, email, roleId: 'rol_viewer' })).link);
  await app.database.transaction((tx) => tx.update(Invitation, { email: In(emails) }, { invitedBy: inviter.person.id }));
  await mutations(app).mutate(
    'setMemberRole',
    { workspaceId: workspace.id, userId: inviter.person.id, roleId: 'rol_viewer' },
    '__typename',
  );
  for (const spy of [hashed, verified]) spy.mockClear();
  for (const link of links)
    for (let time = 0; time < 3; time++) expect((await follow(link)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  expect([hashed.mock.calls, verified.mock.calls]).toEqual([[], []]);
  for (const spy of [hashed, verified]) spy.mockRestore();
});

it('refuses an e-mail address or a password of 80 KB without normalising it', async () => {
  const app = await node();
  const { person, cookie } = await buildPerson(app);
  const long = 'a' + '\u0301\u0323'.repeat(20_000);
  const { refusal } = mutations(app);
  const { link } = await app.people.invitations.invite(ORIGIN, {
    workspaceId: (await buildWorkspace(app)).id,
    email: 'new@example.com',
    roleId: 'rol_viewer',
  });
  const tries: (() => Promise<string | undefined>)[] = [
    async () => (await signIn(app, { email: long, password: PASSWORD })).outcome,
    async () => (await signIn(app, { email: person.email, password: long })).outcome,
    async () => (await refusal('changePassword', { currentPassword: long, newPassword: PASSWORD }, cookie)).code,
    async () => (await refusal('changePassword', { currentPassword: PASSWORD, newPassword: long }, cookie)).issues?.[0]?.message,
    async () => (await refusal('beginSecondFactor', { password: long }, cookie)).code,
    async () => (await refusal('removeSecondFactor', { password: PASSWORD, code: long }, cookie)).code,
    async () => (await refusal('acceptInvitation', { token: tokenOf(link ?? ''), name: 'Ada', password: long }, null)).issues?.[0]?.message,
    async () => (await refusal('inviteMember', { workspaceId: 'ws_x', email: long, roleId: 'rol_viewer' })).issues?.[0]?.message,
  ];
  const outcomes: unknown[] = [];
  for (const attempt of tries) {
    const start = performance.now();
    outcomes.push(await attempt());
    await app.people.background.idle();
    expect(performance.now() - start).toBeLessThan(1_500);
  }
  const tooLong = 'must be at most 256 characters';
  expect(outcomes).toEqual([
    'UNAUTHENTICATED',
    'UNAUTHENTICATED',
    'UNAUTHENTICATED',
    tooLong,
    'UNAUTHENTICATED',
    'CONFLICT',
    tooLong,
    'must be at most 254 characters',
  ]);
});

it('an account that does not exist gets the same answer, work and limit as an existing one', async () => {
  const app = await node();
  const { person } = await buildPerson(app);
  const verified = jest.spyOn(argon2, 'verify');
  const messages = new Set<string>();
  const workOf = async (email: string) => {
    verified.mockClear();
    const statements = await statementsOf(app, async () => {
      const { outcome, message } = await signIn(app, { email, password: 'not this one' });
      messages.add(`${outcome} ${message}`);
      await app.people.background.idle();
    });
    const costs = verified.mock.calls.map(([hashed]) => hashed.toString().split('$').slice(1, 4).join(' '));
    return { statements: statements.map(({ sql }) => sql), costs };
  };
  for (let time = 0; time < 10; time++) {
    const work = await workOf(person.email);
    expect(work.costs).toEqual(['argon2id v=19 m=19456,t=2,p=1']);
    expect(work.statements).not.toEqual([]);
    expect(await workOf('nobody@example.com')).toEqual(work);
  }
  verified.mockRestore();
  expect(messages.size).toBe(1);
  const refused = await Promise.all([person.email, 'nobody@example.com'].map((email) => signIn(app, { email, password: 'not this one' })));
  expect(refused.map(({ outcome }) => outcome)).toEqual(['RATE_LIMITED', 'RATE_LIMITED']);
});
