import { request } from 'node:http';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, ROOT_KEY, type TestApp } from './support/app';
import { ORIGIN, buildKey, buildProject } from './support/factories';

// How a secret is sent, and which secrets work.

let app: TestApp;
let secret: string;
let other: string;

beforeAll(async () => {
  app = await createTestApp();
  const project = await buildProject(app);
  [{ secret }, { secret: other }] = [await buildKey(app, { project }), await buildKey(app, { project })];
});

afterAll(() => app.close());

const withHeaders = async (headers: Record<string, string>) => outcomeOf(await app.rest({ headers }));

it.each([
  ['X-Api-Key', (text: string) => ({ 'x-api-key': text })],
  ['X-Api-Key with blanks around it', (text: string) => ({ 'x-api-key': `  ${text} ` })],
  ['Bearer', (text: string) => ({ authorization: `Bearer ${text}` })],
  ['bearer', (text: string) => ({ authorization: `bearer ${text}` })],
  ['BEARER and several blanks', (text: string) => ({ authorization: `BEARER   ${text}` })],
  ['both headers with the same secret', (text: string) => ({ 'x-api-key': text, authorization: `Bearer ${text}` })],
  ['X-Api-Key beside another scheme', (text: string) => ({ 'x-api-key': text, authorization: 'Basic YTpi' })],
  ['X-Api-Key beside an empty bearer', (text: string) => ({ 'x-api-key': text, authorization: 'Bearer' })],
  ['Bearer beside an empty X-Api-Key', (text: string) => ({ 'x-api-key': '', authorization: `Bearer ${text}` })],
])('a secret is accepted as %s', async (_case, headers) => {
  expect(await withHeaders(headers(secret))).toBe('200 ok');
});

it.each(['Basic', 'Digest', 'Token', 'ApiKey', 'Bearer:', 'BearerX'])('the Authorization scheme %s counts as absent', async (scheme) => {
  expect(await withHeaders({ authorization: `${scheme} ${secret}` })).toBe('401 MISSING_API_KEY');
});

it('a bare secret as Authorization counts as absent', async () => {
  expect(await withHeaders({ authorization: secret })).toBe('401 MISSING_API_KEY');
});

it('two different secrets are refused, even if both are valid', async () => {
  const answer = await app.rest({ secret, headers: { authorization: `Bearer ${other}` } });
  expect(errorOf(answer)).toMatchObject({
    http: 400,
    code: 'INVALID_REQUEST',
    details: { issues: [{ path: ['Authorization'] }] },
    challenge: undefined,
  });
});

/** Sends a request with these headers, which may be repeated. */
function answerTo(path: string, headers: [string, string][], body?: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const accept = path === '/graphql/stream' ? 'text/event-stream' : '*/*';
    const rest = [
      'content-type',
      'application/json',
      'accept',
      accept,
      'host',
      '127.0.0.1',
      'content-length',
      String(Buffer.byteLength(body ?? '')),
    ];
    const sent = request(
      `${app.url}${path}`,
      { method: body === undefined ? 'GET' : 'POST', headers: [...headers.flat(), ...rest] },
      (answer) => {
        answer.setEncoding('utf8');
        let text = '';
        answer.on('data', (chunk: string) => (text += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      },
    );
    sent.on('error', reject).end(body);
  });
}

it.each<[string, string, string | undefined]>([
  ['a call', '/v1/demo/execute', '{"action":"demo.echo","params":{}}'],
  ['a query', '/graphql', '{"query":"{ viewer { id } }"}'],
  ['an export', '/v1/export/keys?format=ndjson', undefined],
  ['a stream', '/graphql/stream', '{"query":"subscription { keyChanged { key { id } } }"}'],
])('%s refuses repeated headers with different secrets in any order, and accepts equal ones', async (_case, path, body) => {
  const headersOf = (text: string): [string, string][] => [['X-Api-Key', text], ['Authorization', `Bearer ${text}`]];
  for (const first of headersOf(secret)) {
    for (const second of headersOf(other)) {
      for (const headers of [
        [first, second],
        [second, first],
        [first, first, second],
        [first, ['Authorization', 'Basic YTpi'] as [string, string], second],
      ]) {
        const { status, text } = await answerTo(path, headers, body);
        expect([status, text]).toEqual([400, expect.stringContaining('Send one secret.')]);
      }
    }
  }
  const [key, bearer] = headersOf(secret) as [[string, string], [string, string]];
  const once = (await answerTo(path, [key], body)).text;
  if (path !== '/v1/demo/execute') return; // their answers contain the time
  expect(once).toContain('"ok":true');
  for (const headers of [[key, key], [bearer, bearer], [key, bearer, key], [['Authorization', 'Basic YTpi'] as [string, string], bearer]]) {
    expect((await answerTo(path, headers, body)).status).toBe(200);
  }
});

it('refuses a key with an X-Project-Id of another project than its own', async () => {
  const { id } = await buildProject(app);
  const project = await buildProject(app);
  const { secret: key } = await buildKey(app, { project });
  const withProject = (projectId: string) => app.rest({ secret: key, headers: { 'x-project-id': projectId } });
  const refused = await withProject(id);
  expect(errorOf(refused)).toMatchObject({ http: 400, code: 'INVALID_REQUEST', details: { issues: [{ path: ['X-Project-Id'] }] } });
  expect(outcomeOf(await withProject('no project'))).toBe('400 INVALID_REQUEST');
  expect(outcomeOf(await withProject(project.id))).toBe('200 ok');
});

it.each<[string, () => string]>([
  ['in another case', () => secret.toUpperCase()],
  ['without its last character', () => secret.slice(0, -1)],
  ['with one more character', () => `${secret}0`],
  ['of another environment', () => secret.replace('_live_', '_test_')],
  ['with another prefix', () => secret.replace('acme_', 'acmf_')],
  ['twice', () => `${secret}, ${secret}`],
  ['with a blank in the middle', () => `${secret.slice(0, 9)} ${secret.slice(9)}`],
  ['that is the root key', () => ROOT_KEY],
])('a secret %s is INVALID_API_KEY', async (_case, wrong) => {
  expect(await withHeaders({ 'x-api-key': wrong() })).toBe('401 INVALID_API_KEY');
  expect(await withHeaders({ authorization: `Bearer ${wrong()}` })).toBe('401 INVALID_API_KEY');
});

it('a key is refused from the first call after its revocation', async () => {
  const { key, secret: revoked } = await buildKey(app);
  expect(outcomeOf(await app.rest({ secret: revoked }))).toBe('200 ok');
  await app.services.keys.revoke(ORIGIN, { id: key.id });
  expect(outcomeOf(await app.rest({ secret: revoked }))).toBe('401 REVOKED_API_KEY');
});

it('both secrets work in the grace period, then only the new one; a second rotation ends the first secret at once', async () => {
  const { key, secret: first } = await buildKey(app);
  const outcomes = async (...secrets: string[]) => Promise.all(secrets.map(async (one) => outcomeOf(await app.rest({ secret: one }))));
  const { secret: second } = await app.services.keys.rotate(ORIGIN, { id: key.id, graceSeconds: 60 });
  expect(await outcomes(first, second)).toEqual(['200 ok', '200 ok']);
  const { secret: third } = await app.services.keys.rotate(ORIGIN, { id: key.id, graceSeconds: 60 });
  expect(await outcomes(first, second, third)).toEqual(['401 REVOKED_API_KEY', '200 ok', '200 ok']);
  app.travel(60_000);
  expect(await outcomes(first, second, third)).toEqual(['401 REVOKED_API_KEY', '401 REVOKED_API_KEY', '200 ok']);
});

it.each<[string, string[], string]>([
  ['the name itself', ['demo.echo'], '200 ok'],
  ['a wildcard', ['demo.*'], '200 ok'],
  ['several', ['demo.fail', 'demo.echo'], '200 ok'],
  ['nothing', [], '403 FORBIDDEN'],
  ['another name', ['demo.fail'], '403 FORBIDDEN'],
  ['an administrative bundle', ['admin', 'write', 'read'], '403 FORBIDDEN'],
])('granted %s, demo.echo is %s', async (_case, permissions, outcome) => {
  const { secret: granted } = await buildKey(app, { permissions });
  expect(outcomeOf(await app.rest({ secret: granted }))).toBe(outcome);
});
