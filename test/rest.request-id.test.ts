import { randomUUID } from 'node:crypto';
import { v1, v3, v4, v5, v6, v7, version } from 'uuid';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { buildKey } from './support/factories';
import { tracesOf } from './support/traces';

// How a caller chooses a requestId, in the body or as Idempotency-Key, and which one the answer has.

const OID_NAMESPACE = '6ba7b812-9dad-11d1-80b4-00c04fd430c8'; // RFC 9562, appendix A

let app: TestApp;
let secret: string;
let projectId: string;

beforeAll(async () => {
  app = await createTestApp();
  const built = await buildKey(app, { budget: 100_000_000 });
  secret = built.secret;
  projectId = built.project.id;
});

afterAll(() => app.close());

const withHeader = (key: string, body?: Record<string, unknown>) =>
  app.rest({ secret, headers: { 'idempotency-key': key }, ...(body && { body }) });

describe('a caller without a requestId', () => {
  it('gets a new UUIDv7 for every call, and no call is a repeat', async () => {
    const answers = [await app.rest({ secret }), await app.rest({ secret }), await app.rest({})];
    const ids = answers.map(({ body, headers }) => {
      expect(headers.get('x-request-id')).toBe(body.requestId);
      return body.requestId as string;
    });
    expect(ids.map(version)).toEqual([7, 7, 7]);
    expect(new Set(ids).size).toBe(3);
    expect(answers.map(outcomeOf)).toEqual(['200 ok', '200 ok', '401 MISSING_API_KEY']);
  });

  it('gets one of the server if its body was not read, even if it sent a header', async () => {
    const key = randomUUID();
    const answer = await app.rest({ secret, headers: { 'content-type': 'text/plain', 'idempotency-key': key } });
    expect(version(answer.body.requestId)).toBe(7);
    expect(outcomeOf(await withHeader(key))).toBe('200 ok');
  });
});

describe('a requestId in the body', () => {
  it.each([
    ['version 1', v1()],
    ['version 3', v3('a', OID_NAMESPACE)],
    ['version 4', v4()],
    ['version 5', v5('b', OID_NAMESPACE)],
    ['version 6', v6()],
    ['version 7', v7()],
    ['version 8', '2489e9ad-2ee2-8e00-8ec9-32d5f69181c0'],
    ['nil', '00000000-0000-0000-0000-000000000000'],
    ['max', 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'],
  ])('may be a UUID: %s', async (_name, requestId) => {
    const { body, headers } = await app.rest({ secret, body: { requestId } });
    expect(body).toMatchObject({ ok: true, requestId: requestId.toLowerCase() });
    expect(headers.get('x-request-id')).toBe(requestId.toLowerCase());
  });

  it('may be in upper case: the answer, the log and replays have it in lower case', async () => {
    const requestId = randomUUID();
    const raw = `{"action":"demo.echo","params":{},"requestId":"${requestId.toUpperCase()}"}`;
    const first = await app.rest({ secret, raw });
    expect(first.body.requestId).toBe(requestId);
    expect((await tracesOf(app, projectId)).logs.at(-1)).toMatchObject({ requestId });
    expect(outcomeOf(await app.rest({ secret, raw }))).toBe('200 replay');
    // Another spelling makes another body with the same id
    expect(outcomeOf(await app.rest({ secret, raw: raw.replace(requestId.toUpperCase(), requestId) }))).toBe('422 REQUEST_ID_REUSED');
  });

  it.each([
    ['text', 'abc'],
    ['braces', `{${v4()}}`],
    ['no dashes', v4().replaceAll('-', '')],
    ['an urn', `urn:uuid:${v4()}`],
    ['empty', ''],
    ['blanks', ` ${v4()}`],
    ['null', null],
    ['a number', 7],
  ])('other text is refused: %s', async (_name, requestId) => {
    const answer = await app.rest({ secret, body: { requestId } });
    expect(errorOf(answer)).toMatchObject({ http: 400, code: 'INVALID_REQUEST', details: { issues: [{ path: ['requestId'] }] } });
  });
});

describe('a requestId as Idempotency-Key', () => {
  it('is the UUID itself, with or without quotes, in any case', async () => {
    const uuid = randomUUID();
    expect((await withHeader(uuid.toUpperCase())).body).toMatchObject({ ok: true, requestId: uuid });
    for (const spelling of [uuid, `"${uuid}"`, `"${uuid.toUpperCase()}"`]) expect(outcomeOf(await withHeader(spelling))).toBe('200 replay');
  });

  it.each([
    ['a word', 'order-4711', 'order-4711'],
    ['a quoted word', '"order-4712"', 'order-4712'],
    ['escapes', String.raw`"a\"b\\c"`, String.raw`a"b\c`],
    ['a backslash without quotes', String.raw`a\b`, String.raw`a\b`],
    ['one character', '!', '!'],
    ['255 characters', '~'.repeat(255), '~'.repeat(255)],
    ['255 quoted characters', `"${'x'.repeat(255)}"`, 'x'.repeat(255)],
    ['a UUID within other text', 'id-00000000-0000-0000-0000-000000000000', 'id-00000000-0000-0000-0000-000000000000'],
  ])('is the UUIDv5 of other text, in the OID namespace: %s', async (_name, header, text) => {
    const { body } = await withHeader(header);
    expect(body).toMatchObject({ ok: true, requestId: v5(text, OID_NAMESPACE) });
  });

  it('is the same for a text with quotes, without quotes, and for the UUIDv5 of the text', async () => {
    const text = `order-${randomUUID()}`;
    expect(outcomeOf(await withHeader(text))).toBe('200 ok');
    expect(outcomeOf(await withHeader(`"${text}"`))).toBe('200 replay');
    expect(outcomeOf(await withHeader(v5(text, OID_NAMESPACE)))).toBe('200 replay');
  });

  it('differs for texts that differ only in upper and lower case', async () => {
    const text = `order-${randomUUID()}`;
    expect(outcomeOf(await withHeader(text))).toBe('200 ok');
    expect(outcomeOf(await withHeader(text.toUpperCase()))).toBe('200 ok');
  });

  it.each([
    ['empty', ''],
    ['quoted and empty', '""'],
    ['256 characters', 'x'.repeat(256)],
    ['256 quoted characters', `"${'x'.repeat(256)}"`],
    ['a blank', 'a b'],
    ['a quoted blank', '"a b"'],
    ['not ASCII', 'é'],
    ['two values', 'a, b'],
  ])('anything else is refused: %s', async (_name, header) => {
    expect(errorOf(await withHeader(header))).toMatchObject({
      http: 400,
      code: 'INVALID_REQUEST',
      details: { issues: [{ path: ['Idempotency-Key'] }] },
    });
  });
});

describe('ids in the body and in the header', () => {
  it('may both be sent if they are equal, in any case', async () => {
    const requestId = randomUUID();
    const answer = await withHeader(`"${requestId.toUpperCase()}"`, { requestId });
    expect(answer.body).toMatchObject({ ok: true, requestId });
    expect(outcomeOf(await app.rest({ secret, body: { requestId } }))).toBe('200 replay');
  });

  it('are refused if they differ, and the call does not run', async () => {
    const [inBody, inHeader] = [randomUUID(), randomUUID()];
    const { logs } = await tracesOf(app, projectId);
    const error = errorOf(await withHeader(inHeader, { requestId: inBody }));
    expect(error).toMatchObject({ http: 400, code: 'INVALID_REQUEST', details: { issues: [{ path: ['requestId'] }] } });
    expect((await tracesOf(app, projectId)).logs).toHaveLength(logs.length);
    expect(outcomeOf(await withHeader(inHeader))).toBe('200 ok');
    expect(outcomeOf(await app.rest({ secret, body: { requestId: inBody } }))).toBe('200 ok');
  });
});
