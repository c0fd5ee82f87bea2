import { randomBytes } from 'node:crypto';
import { Membership } from '../../src/access/people/membership.entity';
import { Person } from '../../src/access/people/person.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from './app';
import { codeAt } from './authenticator';
import { cookieOf } from './clients';
import { ORIGIN, buildWorkspace } from './factories';
import { mutations } from './mutate';

export const PASSWORD = 'correct horse battery staple';

/** The mutations with events that test/people.events.test.ts checks. */
export const MUTATIONS_OF_PEOPLE = [
  ...['inviteMember', 'withdrawInvitation', 'acceptInvitation', 'signIn', 'signOut', 'signOutEverywhere', 'endSession', 'changePassword'],
  ...['requestPasswordReset', 'resetPassword', 'beginSecondFactor', 'confirmSecondFactor', 'removeSecondFactor'],
  'withdrawConsent', // test/oauth.ends.test.ts
];

export interface PersonValues {
  /** Their workspace; a new one if absent. */
  workspace?: Workspace;
  /** Their role there; owner if absent. */
  roleId?: string;
  email?: string;
  password?: string;
}

export interface BuiltPerson {
  person: Person;
  /** The session cookie: a credential for the clients of the tests. */
  cookie: { cookie: string };
  password: string;
  workspace: Workspace;
}

/** A person who was invited, has accepted and is signed in. */
export async function buildPerson(app: Pick<TestApp, 'services' | 'people' | 'database'>, values: PersonValues = {}): Promise<BuiltPerson> {
  const workspace = values.workspace ?? (await buildWorkspace(app));
  const { email = `${randomBytes(6).toString('hex')}@example.com`, password = PASSWORD, roleId = 'rol_owner' } = values;
  const { link } = await app.people.invitations.invite(ORIGIN, { workspaceId: workspace.id, email, roleId });
  const token = tokenOf(link ?? '');
  // A separate address for each person: tests that travel in time leave counted tries behind
  const ip = `2001:db8:${randomBytes(2).toString('hex')}:${randomBytes(2).toString('hex')}::1`;
  const { personId, session } = await app.people.invitations.accept(undefined, { token, name: 'Ada', password }, { ip, userAgent: null });
  const person = await app.database.reader.findOneByOrFail(Person, { id: personId });
  return { person, cookie: { cookie: `tollgate_session=${session?.token}` }, password, workspace };
}

/** Makes a new user a member without an account. Returns the id of the user. */
export async function insertMember({ database }: Pick<TestApp, 'database'>, of: { workspaceId: string; roleId: string }): Promise<string> {
  const userId = `usr_${randomBytes(8).toString('hex')}`;
  await database.transaction((tx) => tx.insert(Membership, { userId, ...of, createdAt: new Date() }));
  return userId;
}

/** The token in a link. */
export const tokenOf = (link: string): string => new URL(link).searchParams.get('token') ?? '';

type Client = Pick<TestApp, 'graphql'>;

const SIGN_IN = 'mutation ($input: SignInInput!) { signIn(input: $input) { viewer { id } secondFactorRequired } }';

/** The result of `signIn`: its error code, ok or SECOND_FACTOR_REQUIRED, and the cookie that it set. */
export async function signIn(
  { graphql }: Client,
  input: { email: string; password: string; code?: string },
): Promise<{ outcome: string; message: string; cookie: { cookie: string } }> {
  const answer = await graphql(SIGN_IN, { input }, null);
  const error = answer.errors?.[0];
  const outcome = error?.extensions.code ?? (answer.data.signIn.secondFactorRequired ? 'SECOND_FACTOR_REQUIRED' : 'ok');
  return { outcome, message: error?.message ?? '', cookie: cookieOf(answer) };
}

/** The status of a node's answer to a request with this cookie: 200 if the person is signed in, 401 if not. */
export async function statusOf({ graphql }: Client, cookie: { cookie: string }): Promise<number> {
  return (await graphql('{ viewer { id } }', {}, cookie)).status;
}

/** Turns a second factor on. Returns its secret and the recovery codes. `timeMs` is the time of the database. */
export async function enableSecondFactor(
  app: Client,
  { cookie, password }: BuiltPerson,
  timeMs: number,
): Promise<{ secret: string; recoveryCodes: string[] }> {
  const { mutate } = mutations(app);
  const { secret, uri } = await mutate('beginSecondFactor', { password }, 'secret uri', cookie);
  expect(uri).toContain(`secret=${secret}`);
  const { recoveryCodes } = await mutate('confirmSecondFactor', { code: codeAt(secret, timeMs) }, 'recoveryCodes', cookie);
  return { secret, recoveryCodes };
}
