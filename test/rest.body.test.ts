import { randomUUID } from 'node:crypto';
import { errorOf, outcomeOf } from './support/answers';
import { createTestApp, type TestApp } from './support/app';
import { buildKey } from './support/factories';
import { send } from './support/http';

// Which bodies are accepted and refused.

const BODY_LIMIT_BYTES = 2_000_000;

let app: TestApp;
let secret: string;

beforeAll(async () => {
  app = await createTestApp({ config: { bodyLimitBytes: BODY_LIMIT_BYTES } });
  ({ secret } = await buildKey(app, { budget: 100_000_000 }));
});

afterAll(() => app.close());

const sendRaw = (raw: string | Buffer, headers?: Record<string, string>) => app.rest({ secret, raw, ...(headers && { headers }) });
const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const invalid = (path: unknown[], message?: string) => ({
  http: 400,
  code: 'INVALID_REQUEST',
  details: { issues: [{ path, message: message ?? expect.any(String) }] },
});

describe('a body is refused, with the path of the problem', () => {
  it.each([
    ['nothing', '', []],
    ['blanks', '  \n', []],
    ['half an object', '{"action":"demo.echo","params":{}', []],
    ['two objects', '{"action":"demo.echo","params":{}}{}', []],
    ['single quotes', "{'action':'demo.echo','params':{}}", []],
    ['a comment', '{"action":"demo.echo","params":{}/**/}', []],
    ['NaN', '{"action":"demo.echo","params":{"a":NaN}}', []],
    ['a form', 'action=demo.echo&params=', []],
    ['a byte order mark', '\ufeff{"action":"demo.echo","params":{}}', []],
    ['action twice', '{"action":"demo.echo","params":{},"action":"demo.fail"}', []],
    ['a name twice in params', '{"action":"demo.echo","params":{"a":1,"a":1}}', []],
    ['a name twice, once with an escape', String.raw`{"action":"demo.echo","params":{"a":1,"\u0061":1}}`, []],
    ['__proto__ twice', '{"action":"demo.echo","params":{"__proto__":1,"__proto__":2}}', []],
    ['a name twice, deep in lists', '{"action":"demo.echo","params":{"x":[[1,{"b":{"":1,"c":2,"":3}}]]}}', []],
    ['100,001 arrays', `{"action":"demo.echo","params":{"a":[${'[],'.repeat(99_999)}[]]}}`, []],
    ['arrays without end, in a text that is not JSON', `{"action":"demo.echo","params":{"a":"${'['.repeat(300_000)}`, []],
    ['a long name and many colons, in a text that is not JSON', `{"\\u0061${'a'.repeat(900_000)}"${':'.repeat(90_000)}}`, []],
    ['null', 'null', []],
    ['an array', '[]', []],
    ['a string', '"demo.echo"', []],
    ['no action', '{"params":{}}', ['action']],
    ['no params', '{"action":"demo.echo"}', ['params']],
    ['null as params', '{"action":"demo.echo","params":null}', ['params']],
    ['an array as params', '{"action":"demo.echo","params":[{}]}', ['params']],
    ['text as params', '{"action":"demo.echo","params":"{}"}', ['params']],
    ['a number as action', '{"action":1,"params":{}}', ['action']],
    ['an empty action', '{"action":"","params":{}}', ['action']],
    ['an action with a digit first', '{"action":"1demo","params":{}}', ['action']],
    ['an action with a blank', '{"action":"demo echo","params":{}}', ['action']],
    ['an action with a line break at its end', '{"action":"demo.echo\\n","params":{}}', ['action']],
    ['an action of 129 characters', `{"action":"${'a'.repeat(129)}","params":{}}`, ['action']],
    ['text as debug', '{"action":"demo.echo","params":{},"debug":"true"}', ['debug']],
    ['null as debug', '{"action":"demo.echo","params":{},"debug":null}', ['debug']],
    ['an unknown field', '{"action":"demo.echo","params":{},"colour":1}', ['colour']],
    ['a field in another case', '{"action":"demo.echo","params":{},"Debug":true}', ['Debug']],
    ['__proto__ as a field', '{"action":"demo.echo","params":{},"__proto__":{}}', ['__proto__']],
    ['constructor as a field', '{"action":"demo.echo","params":{},"constructor":{}}', ['constructor']],
    ['fields of a __proto__', '{"__proto__":{"action":"demo.echo"},"params":{},"action":1}', ['action'], ['__proto__']],
  ])('%s', async (_case, raw, ...paths) => {
    const { details, ...error } = errorOf(await sendRaw(raw));
    expect(error).toMatchObject({ http: 400, status: 'INVALID_REQUEST', code: 'INVALID_REQUEST' });
    expect(details).toEqual({ issues: paths.map((path) => ({ path, message: expect.stringMatching(/./) as string })) });
  });

  it('bytes that are not UTF-8, because decoding would change the params', async () => {
    const raw = Buffer.concat([Buffer.from('{"action":"demo.echo","params":{"a":"'), Buffer.from([0xff, 0xc3]), Buffer.from('"}}')]);
    expect(errorOf(await sendRaw(raw))).toMatchObject(invalid([], 'is not UTF-8'));
    expect(errorOf(await sendRaw(Buffer.from('{"action":"demo.echo","params":{}}', 'utf16le')))).toMatchObject(invalid([]));
  });

  it('too many unknown fields: names the first hundred', async () => {
    const fields = Array.from({ length: 99_000 }, (_, index) => `"x${index}":0`);
    const { code, details } = errorOf(await sendRaw(`{${fields.join(',')}}`));
    expect(code).toBe('INVALID_REQUEST');
    expect(details.issues).toHaveLength(100);
  });
});

describe('a body is accepted', () => {
  it('with an action of 128 characters', async () => {
    expect(outcomeOf(await sendRaw(`{"action":"${'a'.repeat(128)}","params":{}}`))).toBe('404 UNKNOWN_ACTION');
  });

  it('with debug, and with version 1 of the contract', async () => {
    expect(outcomeOf(await app.rest({ secret, headers: { 'x-api-version': '1' }, body: { debug: true } }))).toBe('200 ok');
    expect(outcomeOf(await app.rest({ secret, body: { debug: false } }))).toBe('200 ok');
  });

  it.each(['application/json', 'application/json; charset=utf-8', 'application/json;charset=UTF-8', 'Application/JSON'])(
    'as %s',
    async (type) => {
      expect(outcomeOf(await app.rest({ secret, headers: { 'content-type': type } }))).toBe('200 ok');
    },
  );

  it.each([
    '',
    'text/plain',
    'text/json',
    'application/jsonp',
    'application/json-patch+json',
    'application/problem+json',
    'application/x-www-form-urlencoded',
    'application/graphql',
    '*/*',
  ])('not as "%s"', async (type) => {
    const headers = { 'x-api-key': secret, ...(type && { 'content-type': type }) };
    const answer = await send(app.url, { method: 'POST', path: '/v1/demo/execute', headers, body: '{"action":"demo.echo","params":{}}' });
    expect(outcomeOf(answer)).toBe('415 UNSUPPORTED_MEDIA_TYPE');
  });

  it('with keys named __proto__ and constructor, which come back unchanged and do no harm', async () => {
    const params = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"a":{"__proto__":null}}';
    const response = await fetch(`${app.url}/v1/demo/execute`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': secret },
      body: `{"action":"demo.echo","params":${params}}`,
    });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain(`"data":${params},`);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it.each([
    ['numbers that a double changes', '{"a":[1234567890123456789,1e400,-1e-400,0.12345678901234567890]}'],
    ['numbers that a parser writes in another form', '{"a":[1.0,-0,1E5,1e+2,100e-2]}'],
    ['names that a parser puts into another order', '{"b":1,"2":2,"1":3}'],
    ['blanks and line breaks', '{ "a" :\t[ 1 ,\r\n 2 ] }'],
    ['escapes, including half a surrogate pair and quotation marks', String.raw`{"\u0061":"\ud800 \/ \\\" \u00e4\\","\\":"\"}:{"}`],
    ['one name in several objects', '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}],"A":1,"params":{"params":1}}'],
    ['objects nested deeper than a stack', nested(30_000)],
  ])('with params that come back unchanged: %s', async (_what, params) => {
    const headers = { 'content-type': 'application/json', 'x-api-key': secret, 'idempotency-key': randomUUID() };
    const body = `{"debug":true,"p\\u0061rams" : ${params} ,"action":"demo.echo"}`;
    const once = async () => (await fetch(`${app.url}/v1/demo/execute`, { method: 'POST', headers, body })).text();
    const first = await once();
    expect(first).toContain(`,"data":${params},"errors":[]`);
    expect(await once()).toBe(`${first.slice(0, -1)},"meta":{"idempotencyReplay":true}}`);
  });
});

describe('a body has a limit', () => {
  const bodyOf = (bytes: number) => {
    const [head, tail] = ['{"action":"demo.echo","params":{"text":"', '"}}'];
    return head + 'ä'.repeat((bytes - head.length - tail.length - 1) / 2) + 'x' + tail;
  };
  const exact = bodyOf(BODY_LIMIT_BYTES);
  const headers = () => ({ 'x-api-key': secret, 'content-type': 'application/json' });
  const tooLarge = { http: 413, code: 'PAYLOAD_TOO_LARGE', details: { limit_bytes: BODY_LIMIT_BYTES } };

  it('in bytes: exactly the limit passes and one byte more does not, with or without Content-Length', async () => {
    expect(Buffer.byteLength(exact)).toBe(BODY_LIMIT_BYTES);
    const answer = await sendRaw(exact);
    expect([answer.status, answer.body.data]).toEqual([200, JSON.parse(exact).params]);
    expect(errorOf(await sendRaw(`${exact} `))).toMatchObject(tooLarge);
    const path = '/v1/demo/execute';
    expect(outcomeOf(await send(app.url, { method: 'POST', path, headers: headers(), body: exact }))).toBe('200 ok');
    expect(errorOf(await send(app.url, { method: 'POST', path, headers: headers(), body: `${exact} ` }))).toMatchObject(tooLarge);
  });

  it('checked before the body is read: a too large Content-Length is refused at once', async () => {
    const announced = { ...headers(), 'content-length': BODY_LIMIT_BYTES + 1, expect: '100-continue' };
    // Sends only the headers and no body
    const answer = await send(app.url, { method: 'POST', path: '/v1/demo/execute', headers: announced });
    expect(errorOf(answer)).toMatchObject(tooLarge);
  });
});
