import { In } from 'typeorm';
import { Session } from '../src/access/sessions/session.entity';
import { AuditEvent } from '../src/audit/event.entity';
import { createTestApp, type TestApp } from './support/app';
import { cookieOf } from './support/clients';
import { ORIGIN, buildKey } from './support/factories';
import { mutations } from './support/mutate';
import { closeNodes, createNodes } from './support/nodes';
import { prepareOutage } from './support/outage';
import { PASSWORD, buildPerson, signIn, statusOf, tokenOf, type BuiltPerson } from './support/people';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let app: TestApp;
let other: TestApp;

beforeAll(async () => {
  [app, other] = await createNodes();
});

afterAll(() => closeNodes(other, app));

const post = (node: TestApp, query: string, headers: Record<string, string>, variables = {}) =>
  node.server.inject({
    method: 'POST',
    url: '/graphql',
    headers: { 'content-type': 'application/json', ...headers },
    payload: { query, variables },
  });
const SIGN_IN = 'mutation ($input: SignInInput!) { signIn(input: $input) { viewer { id } } }';

describe('the cookie', () => {
  it('is HttpOnly and SameSite=Lax, and Secure if the server is reached over TLS', async () => {
    const secure = await createTestApp({ databaseUrl: app.databaseUrl, config: { publicUrl: 'https://tollgate.example.com' } });
    try {
      const { person, password } = await buildPerson(app);
      const variables = { input: { email: person.email, password } };
      const plain = await post(app, SIGN_IN, {}, variables);
      expect(plain.headers['set-cookie']).toEqual([
        expect.stringMatching(/^tollgate_session=session_[0-9A-Za-z]{43}; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Lax$/),
        expect.stringMatching(/^tollgate_device=[0-9A-Za-z]{22}\.[\w-]{43}; Max-Age=34560000; Path=\/; HttpOnly; SameSite=Lax$/),
      ]);
      const safe = await post(secure, SIGN_IN, { origin: 'https://tollgate.example.com' }, variables);
      expect(safe.headers['set-cookie']).toEqual([
        expect.stringMatching(
          /^__Host-tollgate_session=session_[0-9A-Za-z]{43}; Max-Age=2592000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
        ),
        expect.stringMatching(
          /^__Host-tollgate_device=[0-9A-Za-z]{22}\.[\w-]{43}; Max-Age=34560000; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
        ),
      ]);
    } finally {
      await secure.close();
    }
  });

  it('of an ended session is ignored for public fields, is UNAUTHENTICATED for all others, and is cleared', async () => {
    const { person, password, cookie } = await buildPerson(app);
    await app.graphql('mutation { signOut { session { id } } }', {}, cookie);
    const refused = await post(app, '{ viewer { id } }', cookie);
    expect(refused.statusCode).toBe(401);
    expect(refused.headers['set-cookie']).toMatch(/^tollgate_session=; .*Expires=Thu, 01 Jan 1970/);
    const again = await post(app, SIGN_IN, cookie, { input: { email: person.email, password } });
    expect(again.json()).toMatchObject({ data: { signIn: { viewer: { id: `viewer_${person.id}` } } } });
    expect((await post(app, '{ __typename }', { cookie: 'tollgate_session=nonsense' })).statusCode).toBe(200);
  });

  it('is ignored if a header has a credential, valid or not', async () => {
    const { cookie } = await buildPerson(app);
    expect((await post(app, '{ viewer { id } }', { ...cookie, 'x-api-key': app.rootKey })).json().data.viewer.id).toBe('viewer_operator');
    expect((await post(app, '{ viewer { id } }', { ...cookie, 'x-api-key': 'nonsense' })).statusCode).toBe(401);
  });

  it('authenticates only at /graphql', async () => {
    const { cookie } = await buildPerson(app);
    await buildKey(app);
    expect((await app.rest({ headers: cookie })).body.error.code).toBe('MISSING_API_KEY');
  });
});

describe('a page of another site', () => {
  const FORGED: [string, Record<string, string>][] = [
    ['another origin', { origin: 'https://evil.example' }],
    ['a hidden origin', { origin: 'null' }],
    ['another host that begins with the name of this host', { origin: 'http://localhost:80.evil.example' }],
    ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site', { 'sec-fetch-site': 'same-site' }],
  ];

  it.each(FORGED)('is refused by %s: every request with a cookie, and a sign-in without one', async (_name, headers) => {
    const { cookie, person, password } = await buildPerson(app);
    for (const query of ['{ viewer { id } }', '{ __typename }', 'mutation { signOut { session { id } } }']) {
      const { statusCode, body } = await post(app, query, { ...headers, ...cookie });
      expect({ statusCode, code: JSON.parse(body).errors[0].extensions.code }).toEqual({ statusCode: 403, code: 'FORBIDDEN' });
    }
    const forced = await post(app, SIGN_IN, headers, { input: { email: person.email, password } });
    expect([forced.statusCode, forced.headers['set-cookie']]).toEqual([403, undefined]);
    expect(await statusOf(app, cookie)).toBe(200);
  });

  it('cannot use the cookie by a GET request or a form', async () => {
    const { cookie } = await buildPerson(app);
    const get = await app.server.inject({
      method: 'GET',
      url: `/graphql?query=${encodeURIComponent('{ viewer { id } }')}`,
      headers: cookie,
    });
    expect(get.statusCode).toBe(400);
    const form = await app.server.inject({
      method: 'POST',
      url: '/graphql',
      headers: { ...cookie, 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'query={viewer{id}}',
    });
    expect(form.statusCode).toBe(415);
  });

  it('may use the cookie if its origin is in CORS_ORIGINS, is PUBLIC_URL or is this server', async () => {
    const open = await createTestApp({
      databaseUrl: app.databaseUrl,
      config: { corsOrigins: ['https://admin.example.com'], publicUrl: 'http://tollgate.example.com' },
    });
    try {
      const { cookie } = await buildPerson(app);
      const ask = (headers: Record<string, string>) => post(open, '{ viewer { id } }', { ...cookie, ...headers });
      const cors = await ask({ origin: 'https://admin.example.com', 'sec-fetch-site': 'cross-site' });
      expect([cors.statusCode, cors.headers['access-control-allow-credentials'], cors.headers['access-control-allow-origin']]).toEqual([
        200,
        'true',
        'https://admin.example.com',
      ]);
      for (const headers of [
        { origin: 'http://tollgate.example.com' },
        { 'sec-fetch-site': 'same-origin' },
        { 'sec-fetch-site': 'none' },
      ] as Record<string, string>[]) {
        expect((await ask(headers)).statusCode).toBe(200);
      }
      for (const origin of ['https://tollgate.example.com', 'http://here:1', 'http://there:1'])
        expect((await ask({ host: 'here:1', origin })).statusCode).toBe(403);
    } finally {
      await open.close();
    }
  });
});

describe('a session', () => {
  it('ends at once on every node, alone or together with all others', async () => {
    const ada = await buildPerson(app);
    const { email } = ada.person;
    const [second, third] = [
      (await signIn(other, { email, password: PASSWORD })).cookie,
      (await signIn(app, { email, password: PASSWORD })).cookie,
    ];
    const { data } = await app.graphql('{ viewer { sessions { id current endedAt } } }', {}, second);
    expect(data.viewer.sessions.map(({ current }: { current: boolean }) => current)).toEqual([false, true, false]);
    const { mutate, refusal } = mutations(app);
    await mutate('endSession', { id: data.viewer.sessions[0].id }, 'session { endedAt }', ada.cookie);
    expect([await statusOf(other, third), await statusOf(other, second), await statusOf(other, ada.cookie)]).toEqual([401, 200, 200]);
    expect((await refusal('endSession', { id: data.viewer.sessions[0].id }, ada.cookie)).code).toBe('NOT_FOUND');
    const eve = await buildPerson(app);
    expect((await refusal('endSession', { id: data.viewer.sessions[1].id }, eve.cookie)).code).toBe('NOT_FOUND');
    const everywhere = await app.graphql('mutation { signOutEverywhere { sessions { id } } }', {}, second);
    expect(everywhere.data.signOutEverywhere.sessions).toHaveLength(2);
    expect([await statusOf(other, second), await statusOf(other, ada.cookie), await statusOf(other, eve.cookie)]).toEqual([401, 401, 200]);
  });

  it('ends with an event when its browser signs in again or accepts an invitation with a password, for any person', async () => {
    const [ada, bob, eve] = [await buildPerson(app), await buildPerson(app), await buildPerson(app)];
    const input = ({ person, password }: BuiltPerson) => ({ email: person.email, password });
    expect((await post(app, SIGN_IN, ada.cookie, { input: input(bob) })).statusCode).toBe(200);
    expect([await statusOf(other, ada.cookie), await statusOf(other, bob.cookie)]).toEqual([401, 200]);
    const { link } = await app.people.invitations.invite(ORIGIN, {
      workspaceId: ada.workspace.id,
      email: bob.person.email,
      roleId: 'rol_viewer',
    });
    await mutations(app).mutate('acceptInvitation', { token: tokenOf(link ?? ''), password: bob.password }, 'viewer { id }', eve.cookie);
    expect([await statusOf(other, eve.cookie), await statusOf(other, bob.cookie)]).toEqual([401, 200]);
    const ended = await app.database.reader.findBy(AuditEvent, {
      action: 'session.ended',
      actorId: In([ada.person.id, bob.person.id, eve.person.id]),
    });
    expect(ended.map(({ actorId }) => actorId).sort()).toEqual([ada.person.id, eve.person.id].sort());
  });

  it('that a mutation begins or ends applies to the later mutations of the same document', async () => {
    const [ada, bob] = [await buildPerson(app), await buildPerson(app)];
    const { link } = await app.people.invitations.invite(ORIGIN, {
      workspaceId: bob.workspace.id,
      email: ada.person.email,
      roleId: 'rol_viewer',
    });
    const begins = `mutation {
      signIn(input: { email: "${ada.person.email}", password: "${ada.password}" }) { viewer { id } }
      acceptInvitation(input: { token: "${tokenOf(link ?? '')}" }) { viewer { id } }
    }`;
    const begun = await app.graphql(begins, {}, bob.cookie);
    expect(begun.data.acceptInvitation.viewer).toEqual({ id: `viewer_${ada.person.id}` });
    const kept = cookieOf(begun);
    expect((await app.graphql('{ viewer { id } }', {}, kept)).data.viewer.id).toBe(`viewer_${ada.person.id}`);
    const passwords = `{ currentPassword: "${ada.password}", newPassword: "another horse, another battery" }`;
    const rest = `changePassword(input: ${passwords}) { user { id } }`;
    const ended = await app.graphql(`mutation { signOut { session { id current } } ${rest} }`, {}, kept);
    expect([ended.data.signOut.session.current, ended.data.changePassword, ended.errors?.[0]?.extensions.code]).toEqual([
      false,
      null,
      'UNAUTHENTICATED',
    ]);
  });

  it('ends on every node when the password is changed in another session, and that session continues', async () => {
    const { person, cookie, password } = await buildPerson(app);
    const elsewhere = (await signIn(other, { email: person.email, password })).cookie;
    const { mutate, refusal } = mutations(app);
    const newPassword = 'another horse, another battery';
    expect((await refusal('changePassword', { currentPassword: 'not this one', newPassword }, cookie)).code).toBe('UNAUTHENTICATED');
    expect((await refusal('changePassword', { currentPassword: password, newPassword: 'too short' }, cookie)).issues).toEqual([
      { path: ['input', 'newPassword'], message: 'must be at least 12 characters' },
    ]);
    await mutate('changePassword', { currentPassword: password, newPassword }, 'user { id }', cookie);
    expect([await statusOf(other, elsewhere), await statusOf(other, cookie)]).toEqual([401, 200]);
    expect([
      (await signIn(other, { email: person.email, password })).outcome,
      (await signIn(other, { email: person.email, password: newPassword })).outcome,
    ]).toEqual(['UNAUTHENTICATED', 'ok']);
  });

  it('ends after 12 hours without use, and after 30 days in any case', async () => {
    const { cookie } = await buildPerson(app);
    let travelled = 0;
    const travel = (ms: number) => {
      travelled += ms;
      app.travel(ms);
    };
    try {
      travel(12 * HOUR_MS - 60_000);
      expect(await statusOf(app, cookie)).toBe(200);
      travel(12 * HOUR_MS - 60_000);
      expect(await statusOf(app, cookie)).toBe(200);
      const idle = (await buildPerson(app)).cookie;
      travel(12 * HOUR_MS);
      expect(await statusOf(app, idle)).toBe(401);
      const used = (await buildPerson(app)).cookie;
      for (let day = 0; day < 59; day++) {
        travel(DAY_MS / 2 - 1_000);
        expect(await statusOf(app, used)).toBe(200);
      }
      travel(DAY_MS / 2 + 59_000);
      expect(await statusOf(app, used)).toBe(401);
    } finally {
      app.travel(-travelled);
    }
  });

  it('writes its last use at most once in five minutes', async () => {
    const { person, cookie } = await buildPerson(app);
    const seen = async () => (await app.database.reader.findOneByOrFail(Session, { userId: person.id })).lastSeenAt.getTime();
    const first = await seen();
    await statusOf(app, cookie);
    expect(await seen()).toBe(first);
    app.travel(300_000);
    await statusOf(app, cookie);
    app.travel(-300_000);
    expect(await seen()).toBeGreaterThanOrEqual(first + 300_000);
    app.travel(HOUR_MS);
    await statusOf(app, cookie);
    app.travel(-HOUR_MS);
    await statusOf(app, cookie); // corrects a time from a clock that was ahead: it would keep the session alive
    expect(await seen()).toBeLessThan(first + 300_000);
  });
});

describe('while the database is down', () => {
  it('a cookie is SERVICE_UNAVAILABLE, and a sign-in is refused', async () => {
    const { cookie, person, password } = await buildPerson(app);
    const cut = await createTestApp({ databaseUrl: app.databaseUrl });
    expect(await statusOf(cut, cookie)).toBe(200);
    await cut.database.close();
    const refused = await cut.graphql('{ viewer { id } }', {}, cookie);
    expect([refused.status, refused.data, refused.errors?.[0]?.extensions.code]).toEqual([503, undefined, 'SERVICE_UNAVAILABLE']);
    const { outcome, cookie: none } = await signIn(cut, { email: person.email, password });
    expect([outcome, none.cookie]).toEqual([expect.not.stringMatching(/^ok$/), '']);
    await cut.server.close();
  });

  it('a sign-in is refused, and works again afterwards', async () => {
    const { person, password } = await buildPerson(app);
    const outage = await prepareOutage(app.databaseUrl);
    const cut = await createTestApp({ databaseUrl: outage.url });
    const ask = () => signIn(cut, { email: person.email, password });
    try {
      await outage.begin();
      // In jest's realm, the error of a new connection is not an instance of Error, so graphql-js may hide it
      expect(await ask()).toMatchObject({
        outcome: TEST_DATABASE === 'mysql' ? expect.stringMatching(/^(SERVICE_UNAVAILABLE|INTERNAL)$/) : 'SERVICE_UNAVAILABLE',
        cookie: { cookie: '' },
      });
      await outage.end();
      expect((await ask()).outcome).toBe('ok');
    } finally {
      await cut.close();
    }
  });
});

it('a person has at most 100 live sessions: one more ends the oldest', async () => {
  const { person, cookie } = await buildPerson(app);
  const { database, people } = app;
  const open = () =>
    database.transaction(async (tx) => people.sessions.open(tx, person.id, { ip: null, userAgent: null }, await database.now(tx)));
  for (let opened = 0; opened < 99; opened += 1) await open();
  const { data } = await app.graphql('{ viewer { sessions { id } } }', {}, cookie);
  const oldest = data.viewer.sessions.at(-1).id;
  expect(data.viewer.sessions).toHaveLength(100);
  await open();
  expect((await app.graphql('{ viewer { sessions { id } } }', {}, cookie)).status).toBe(401);
  expect(await people.sessions.list(person.id)).toHaveLength(100);
  expect(await database.reader.findOneByOrFail(Session, { id: oldest })).toMatchObject({ endedAt: expect.any(Date) });
});
