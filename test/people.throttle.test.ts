import { setTimeout as wait } from 'node:timers/promises';
import argon2 from '@node-rs/argon2';
import { In } from 'typeorm';
import { Invitation } from '../src/access/people/invitation.entity';
import { createTestApp, type TestApp } from './support/app';
import { ORIGIN, buildWorkspace } from './support/factories';
import { mutations } from './support/mutate';
import { PASSWORD, buildPerson, signIn, tokenOf } from './support/people';
import { statementsOf } from './support/statements';

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

it('of 50 wrong passwords tried at once on two nodes, ten are looked at; a restart forgets none of them, and a minute gives one more', async () => {
  const a = await node();
  const other = await node(a.databaseUrl);
  const { person } = await buildPerson(a);
  const tries = await Promise.all(Array.from({ length: 50 }, (_, index) => signIn(index % 2 ? a : other, { email: person.email, password: 'not this one' })));
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

it('a right password gives back the try of its account and of its address', async () => {
  const app = await node();
  const { person } = await buildPerson(app);
  for (let time = 0; time < 60; time++) expect((await signIn(app, { email: person.email, password: PASSWORD })).outcome).toBe('ok');
});

it('whoever has signed in changes their password while strangers use up all tries, and has tries of their own', async () => {
  const app = await node();
  const { person, cookie } = await buildPerson(app);
  await Promise.all(Array.from({ length: 60 }, () => signIn(app, { email: person.email, password: 'not this one' })));
  await Promise.all(Array.from({ length: 60 }, (_, index) => signIn(app, { email: `nobody-${index}@example.com`, password: 'not this one' })));
  expect((await signIn(app, { email: person.email, password: PASSWORD })).outcome).toBe('RATE_LIMITED');
  const { mutate, refusal } = mutations(app);
  const newPassword = 'another horse, another battery';
  await mutate('changePassword', { currentPassword: PASSWORD, newPassword }, 'user { id }', cookie);
  const guesses = await Promise.all(Array.from({ length: 12 }, async () => (await refusal('changePassword', { currentPassword: 'not this one', newPassword }, cookie)).code));
  expect(guesses.sort()).toEqual(['RATE_LIMITED', 'RATE_LIMITED', ...Array<string>(10).fill('UNAUTHENTICATED')]);
});

it('an address gets 50 tries at once, whatever accounts it tries', async () => {
  const app = await node();
  const tries = await Promise.all(Array.from({ length: 70 }, (_, index) => signIn(app, { email: `nobody-${index}@example.com`, password: PASSWORD })));
  expect([countOf(tries, 'UNAUTHENTICATED'), countOf(tries, 'RATE_LIMITED')]).toEqual([50, 20]);
  const { id: workspaceId } = await buildWorkspace(app);
  const { link } = await app.people.invitations.invite(ORIGIN, { workspaceId, email: 'new@example.com', roleId: 'rol_viewer' });
  expect((await mutations(app).refusal('acceptInvitation', { token: tokenOf(link ?? ''), name: 'Ada', password: PASSWORD }, null)).code).toBe('RATE_LIMITED');
});

it('whoever has the link of an invitation makes no more than ten hashes of passwords by it, and none once its maker may not invite any more', async () => {
  const app = await node();
  const inviter = await buildPerson(app);
  const { workspace } = inviter;
  await buildPerson(app, { workspace });
  const { hash } = argon2;
  const hashed = jest.spyOn(argon2, 'hash');
  const verified = jest.spyOn(argon2, 'verify');
  const slowly = (...given: Parameters<typeof hash>) => wait(1_000).then(() => hash(...given)); // until all others have found the link alive
  hashed.mockImplementationOnce(slowly).mockImplementationOnce(slowly);
  const follow = (link: string | null) => app.graphql('mutation ($input: AcceptInvitationInput!) { acceptInvitation(input: $input) { __typename } }', { input: { token: tokenOf(link ?? ''), name: 'Ada', password: PASSWORD } }, null);
  const { link: alive } = await app.people.invitations.invite(ORIGIN, { workspaceId: workspace.id, email: 'alive@example.com', roleId: 'rol_viewer' });
  const followed = await Promise.all(Array.from({ length: 30 }, () => follow(alive)));
  expect(followed.filter(({ errors }) => !errors)).toHaveLength(1);
  expect(hashed.mock.calls.length).toBeLessThanOrEqual(10);
  const { person: known } = await buildPerson(app);
  const emails = ['new@example.com', known.email];
  const links = [];
  for (const email of emails) links.push((await app.people.invitations.invite(ORIGIN, { workspaceId: workspace.id, email, roleId: 'rol_viewer' })).link);
  await app.database.transaction((tx) => tx.update(Invitation, { email: In(emails) }, { invitedBy: inviter.person.id }));
  await mutations(app).mutate('setMemberRole', { workspaceId: workspace.id, userId: inviter.person.id, roleId: 'rol_viewer' }, '__typename');
  for (const spy of [hashed, verified]) spy.mockClear();
  for (const link of links) for (let time = 0; time < 3; time++) expect((await follow(link)).errors?.[0]?.extensions.code).toBe('NOT_FOUND');
  expect([hashed.mock.calls, verified.mock.calls]).toEqual([[], []]);
  for (const spy of [hashed, verified]) spy.mockRestore();
});

it('an e-mail or a password of 160 KB is nobody’s, and is refused without being read', async () => {
  const app = await node();
  const { person, cookie } = await buildPerson(app);
  const long = 'a' + '\u0301\u0323'.repeat(40_000);
  const { refusal } = mutations(app);
  const { link } = await app.people.invitations.invite(ORIGIN, { workspaceId: (await buildWorkspace(app)).id, email: 'new@example.com', roleId: 'rol_viewer' });
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
  expect(outcomes).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'UNAUTHENTICATED', tooLong, 'UNAUTHENTICATED', 'CONFLICT', tooLong, 'must be at most 254 characters']);
});

it('an account that there is not answers the same, after the same work, and is limited the same', async () => {
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
