import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { parsePointer, valueAt } from '../src/forwarding/usage/pointer';
import { readUsageField } from '../src/forwarding/usage/quantities';
import { get, startBytes, useForwarder, type FrontOptions, type Settled } from './support/forwarding';
import { startRawServer } from './support/raw-upstream';

const { startFront } = useForwarder();

const SOURCES = [
  { unit: 'input_tokens', pointer: '/usage/in' },
  { unit: 'output_tokens', pointer: '/usage/out' },
];
const MIB = 1024 * 1024;

/** Calls an upstream that answers with this body. Returns the end of the call, after checking that the caller got exactly the body. */
async function measure(head: string, body: string | Buffer, options: FrontOptions = {}): Promise<Settled & { kind: 'complete' }> {
  const bytes = Buffer.from(body as string);
  const whole = `HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n${head}\r\n\r\n`;
  const front = await startFront(await startBytes(whole, bytes), { usage: SOURCES, ...options });
  expect((await get(front.url)).body.equals(bytes)).toBe(true);
  return (await front.end()) as Settled & { kind: 'complete' };
}

const JSON_HEAD = 'Content-Type: application/json; charset=utf-8';
const EVENTS_HEAD = 'Content-Type: text/event-stream';

describe('usage from Tollgate-Usage', () => {
  it.each([
    ['faces=3', { faces: 3 }],
    ['input_tokens=12, output_tokens=40', { input_tokens: 12, output_tokens: 40 }],
    ['faces=3;note="x", faces=4', { faces: 4 }],
    ['faces=0', { faces: 0 }],
    ['faces=999999999999999', { faces: 999_999_999_999_999 }],
    ['a=-1, b=1.5, c="3", d, e=(1 2), f=?1, g=:AQ==:, faces=3', { faces: 3 }],
    ['*star=1, a-b=1, a.b=1, faces=3', { faces: 3 }],
    ['faces=-0', { faces: 0 }],
    ['Faces=3', null],
    ['faces=3,', null],
    ['faces = 3', null],
    ['', null],
    ['faces=9999999999999999', null],
    ['__proto__=1', null],
  ])('%j is %j', (text, expected) => {
    expect(readUsageField(text)).toEqual(expected);
  });

  it('has at most 20 units', () => {
    const text = Array.from({ length: 30 }, (_, n) => `u${n}=1`).join(', ');
    expect(Object.keys(readUsageField(text) ?? {})).toHaveLength(20);
  });

  it('in the head wins over the body, and does not reach the caller', async () => {
    const front = await startFront(
      await startBytes('HTTP/1.1 200 OK\r\nContent-Length: 16\r\nTollgate-Usage: a=1\r\ntollgate-usage: b=2\r\n\r\n{"usage":{"in":1'),
      { usage: SOURCES },
    );
    expect((await get(front.url)).headers).not.toHaveProperty('tollgate-usage');
    expect(await front.end()).toMatchObject({ usage: { a: 1, b: 2 } });
  });

  it('in the trailers wins over the head and the body', async () => {
    const head = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${JSON_HEAD}\r\nTollgate-Usage: a=1\r\n\r\n`;
    const front = await startFront(await startBytes(`${head}2\r\n{}\r\n0\r\nTollgate-Usage: a=2\r\n\r\n`), { usage: SOURCES });
    const got = await get(front.url);
    expect(got.trailers).toEqual({});
    expect(await front.end()).toMatchObject({ usage: { a: 2 } });
  });

  it('that is invalid leaves the body to decide', async () => {
    const { usage } = await measure(`${JSON_HEAD}\r\nTollgate-Usage: nonsense!`, '{"usage":{"in":1}}');
    expect(usage).toEqual({ input_tokens: 1 });
  });

  it('of an answer that is not billed is not read', async () => {
    const front = await startFront(await startBytes('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nTollgate-Usage: a=1\r\n\r\n'));
    await get(front.url);
    expect(await front.end()).toMatchObject({ kind: 'complete', status: 404, isBilled: false, usage: null });
  });
});

describe('usage from a JSON answer', () => {
  it.each([
    ['{"usage":{"in":1,"out":2}}', { input_tokens: 1, output_tokens: 2 }],
    ['\ufeff{"usage":{"in":1}}', { input_tokens: 1 }],
    ['{"usage":{"in":1e3,"out":10.0}}', { input_tokens: 1000, output_tokens: 10 }],
    ['{"usage":{"in":9007199254740991}}', { input_tokens: 9007199254740991 }],
    ['{"usage":{"in":9007199254740992,"out":1}}', { output_tokens: 1 }],
    ['{"usage":{"in":-1,"out":1.5}}', null],
    ['{"usage":{"in":"1","out":null}}', null],
    ['{"usage":[1]}', null],
    ['{"usage":{"in":1', null],
    ['', null],
  ])('%j is %j', async (body, expected) => {
    expect((await measure(JSON_HEAD, body)).usage).toEqual(expected);
  });

  it.each([
    ['application/json', true],
    ['APPLICATION/JSON;charset=utf-8', true],
    ['application/vnd.api+json', true],
    ['text/plain', false],
    ['application/jsonp', false],
  ])('is read from %s: %s', async (type, isRead) => {
    expect((await measure(`Content-Type: ${type}`, '{"usage":{"in":1}}')).usage).toEqual(isRead ? { input_tokens: 1 } : null);
  });

  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
  ])('is read from a copy that is decoded, with %s', async (encoding, encode) => {
    const json = JSON.stringify({ padding: 'x'.repeat(200_000), usage: { in: 7 } });
    expect((await measure(`${JSON_HEAD}\r\nContent-Encoding: ${encoding}`, encode(json))).usage).toEqual({ input_tokens: 7 });
  });

  it.each([
    ['gzip in two parts', 'gzip', [gzipSync('{"usage":'), gzipSync('{"in":7}}')]],
    ['gzip with zeros behind it', 'gzip', [gzipSync('{"usage":{"in":7}}'), Buffer.alloc(2 * MIB)]],
    ['deflate with other bytes behind it', 'deflate', [deflateSync('{"usage":{"in":7}}'), Buffer.alloc(2 * MIB, 'x')]],
    ['br with other bytes behind it', 'br', [brotliCompressSync('{"usage":{"in":7}}'), Buffer.alloc(2 * MIB, 'x')]],
  ])('is read from %s', async (_what, encoding, parts) => {
    expect((await measure(`${JSON_HEAD}\r\nContent-Encoding: ${encoding}`, Buffer.concat(parts))).usage).toEqual({ input_tokens: 7 });
  });

  it.each([
    ['an unknown encoding', 'zstd', Buffer.from('{"usage":{"in":1}}')],
    ['two encodings', 'gzip, br', brotliCompressSync(gzipSync('{"usage":{"in":1}}'))],
    ['broken bytes', 'gzip', Buffer.from('{"usage":{"in":1}}')],
    ['half of the bytes', 'gzip', gzipSync('{"usage":{"in":1}}').subarray(0, 20)],
    ['no bytes', 'gzip', Buffer.alloc(0)],
    ['far too many plain bytes', 'gzip', gzipSync(Buffer.alloc(300 * MIB))],
  ])('is missing with %s, and the caller gets the answer', async (_what, encoding, body) => {
    expect((await measure(`${JSON_HEAD}\r\nContent-Encoding: ${encoding}`, body)).usage).toBeNull();
  });

  it('is missing above 10 MiB', async () => {
    const json = (bytes: number): string => `{"usage":{"in":1},"x":"${'x'.repeat(bytes - 25)}"}`;
    expect((await measure(JSON_HEAD, json(10 * MIB))).usage).toEqual({ input_tokens: 1 });
    expect((await measure(JSON_HEAD, json(10 * MIB + 1))).usage).toBeNull();
  });

  it('is missing if there is no memory for a copy, which is given back at the end', async () => {
    const kept: number[] = [];
    let isReleased = false;
    const copyBudget = {
      keep: (bytes: number) => (bytes > 100_000 ? false : kept.push(bytes) > 0),
      release: () => void (isReleased = true),
    };
    const json = `{"usage":{"in":1},"x":"${'x'.repeat(500_000)}"}`;
    expect((await measure(JSON_HEAD, json, { copyBudget })).usage).toBeNull();
    expect(kept.length).toBeGreaterThan(0);
    expect(isReleased).toBe(true);
  });
});

describe('usage from server-sent events', () => {
  it.each([
    [
      'the last event that has the pointer',
      'data: {"usage":{"in":1}}\n\ndata: {"usage":{"in":2,"out":3}}\n\ndata: {"a":1}\n\ndata: [DONE]\n\n',
    ],
    ['other line ends', 'data: {"usage":{"in":2}}\r\n\r\ndata: {"usage":{"out":3}}\r\n\r\n'],
    ['carriage returns only', 'data: {"usage":{"in":2}}\r\rdata: {"usage":{"out":3}}\r\r'],
    ['null, which does not count', 'data: {"usage":{"in":2,"out":3}}\n\ndata: {"usage":{"in":null}}\n\ndata: {"usage":null}\n\n'],
    ['several lines of an event', 'event: x\ndata: {"usage":\ndata: {"in":2,"out":3}}\nid: 1\n\n'],
    ['a last event without an empty line', 'data: {"usage":{"in":2,"out":3}}'],
    ['comments', ': ping\n\ndata: {"usage":{"in":2,"out":3}}\n\n: ping\n\n'],
    ['a byte order mark', '\ufeffdata: {"usage":{"in":2,"out":3}}\n\n'],
  ])('takes %s', async (_what, body) => {
    expect((await measure(EVENTS_HEAD, body)).usage).toEqual(
      body.includes('"out"') ? { input_tokens: 2, output_tokens: 3 } : { input_tokens: 2 },
    );
  });

  it('is read however the bytes are cut, also when they are encoded', async () => {
    const text = 'data: {"é":"🙂","usage":{"in":2}}\n\ndata: {"usage":{"out":3}}\n\n';
    for (const [encoding, body] of [
      ['identity', Buffer.from(text)],
      ['gzip', gzipSync(text)],
    ] as const) {
      const port = await startRawServer((socket) => {
        socket.once('data', () => {
          socket.write(`HTTP/1.1 200 OK\r\n${EVENTS_HEAD}\r\nContent-Encoding: ${encoding}\r\nTransfer-Encoding: chunked\r\n\r\n`);
          for (const byte of body) socket.write(Buffer.concat([Buffer.from('1\r\n'), Buffer.of(byte), Buffer.from('\r\n')]));
          socket.write('0\r\n\r\n');
        });
      });
      const front = await startFront(port, { usage: SOURCES });
      expect((await get(front.url)).body.equals(body)).toBe(true);
      expect(await front.end()).toMatchObject({ usage: { input_tokens: 2, output_tokens: 3 } });
    }
  });

  it('is missing if an event is longer than 1 MiB', async () => {
    const event = (bytes: number): string => `data: {"usage":{"in":1},"x":"${'x'.repeat(bytes)}"}\n\n`;
    expect((await measure(EVENTS_HEAD, event(MIB - 1000))).usage).toEqual({ input_tokens: 1 });
    expect((await measure(EVENTS_HEAD, `data: {"usage":{"in":1}}\n\n${event(MIB + 70_000)}`)).usage).toBeNull();
  });

  it('counts the memory of an unfinished event', async () => {
    const body = `data: {"usage":{"in":1},"x":"${'x'.repeat(500_000)}"}\n\n`;
    const copyBudget = { keep: (bytes: number) => bytes < 200_000, release: () => undefined };
    expect((await measure(EVENTS_HEAD, body, { copyBudget })).usage).toBeNull();
  });

  it('of a stream of 50 MiB is read, with little memory', async () => {
    const event = `data: {"text":"${'x'.repeat(1000)}"}\n\n`;
    let most = 0;
    const copyBudget = {
      keep: (bytes: number) => {
        most = Math.max(most, bytes);
        return true;
      },
      release: () => undefined,
    };
    const text = `${event.repeat(50_000)}data: {"usage":{"in":7}}\n\n`;
    const { usage } = await measure(`${EVENTS_HEAD}\r\nContent-Encoding: gzip`, gzipSync(text, { level: 0 }), { copyBudget });
    expect(usage).toEqual({ input_tokens: 7 });
    expect(most).toBeLessThan(MIB);
  });
});

describe('a JSON pointer (RFC 6901)', () => {
  const document = JSON.parse('{"foo":["bar","baz"],"":0,"a/b":1,"m~n":8,"~1":9,"__proto__":{"x":2},"nil":null}') as unknown;

  it.each([
    ['', document],
    ['/foo', ['bar', 'baz']],
    ['/foo/0', 'bar'],
    ['/foo/00', undefined],
    ['/foo/-', undefined],
    ['/foo/2', undefined],
    ['/foo/length', undefined],
    ['/', 0],
    ['/a~1b', 1],
    ['/m~0n', 8],
    ['/~01', 9],
    ['/__proto__/x', 2],
    ['/toString', undefined],
    ['/nil', null],
    ['/nil/x', undefined],
    ['/foo/0/length', undefined],
  ])('%j', (pointer, expected) => {
    expect(valueAt(document, parsePointer(pointer))).toEqual(expected);
  });

  it('begins with a slash', () => {
    expect(() => parsePointer('usage/in')).toThrow('usage/in');
  });
});

describe('an answer that is kept for repeats', () => {
  const HEAD = 'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n';

  it('has the status, the headers but Set-Cookie, and the body', async () => {
    const front = await startFront(await startBytes(`${HEAD}3\r\nabc\r\n`, '2\r\nde\r\n0\r\n\r\n'), { keepAnswerUpToBytes: 5 });
    await get(front.url);
    expect(await front.end()).toMatchObject({
      kept: { status: 200, headers: ['X-A', '1', 'Cache-Control', 'private'], body: Buffer.from('abcde') },
    });
  });

  it.each([
    ['is longer than allowed', HEAD, 4],
    ['is not billed', HEAD.replace('200', '404'), 100],
  ])('is not kept if it %s', async (_what, head, keepAnswerUpToBytes) => {
    const front = await startFront(await startBytes(`${head}5\r\nabcde\r\n0\r\n\r\n`), { keepAnswerUpToBytes });
    await get(front.url);
    expect(await front.end()).toMatchObject({ kind: 'complete', kept: undefined });
  });
});
