import { readHead, readTrailers } from '../src/forwarding/answer-headers';
import { headersToUpstream, isLoop } from '../src/forwarding/request-headers';
import { LOOP_ID, onHead, startBytes, useForwarder, get } from './support/forwarding';
import { sendRaw } from './support/raw';
import { startRawServer } from './support/raw-upstream';
import { until } from './support/until';

const { startFront } = useForwarder();

const rules = { add: [], drop: [], ownCookies: new Set<string>(), loopId: LOOP_ID, contentLength: undefined, mustBeReadable: false };
const answerRules = { method: 'GET', add: [], ownCookies: new Set<string>(), passTrailers: true };

/** The headers that the upstream gets, without CDN-Loop at their end. */
const passed = (raw: string[], more: Partial<Parameters<typeof headersToUpstream>[1]> = {}): string[] =>
  headersToUpstream(raw, { ...rules, ...more }).slice(0, -2);

/** The headers that the caller gets, without Cache-Control. */
const answered = (raw: string[], more: Partial<Parameters<typeof readHead>[3]> = {}): string[] =>
  readHead(200, 'OK', ['Cache-Control', 'private', ...raw], { ...answerRules, ...more }).headers.slice(2);

describe('headers of a request', () => {
  it('reach the upstream as they came: order, case and duplicates', () => {
    const raw = ['X-b', '2', 'x-B', '1', 'ACCEPT-Encoding', 'gzip, br', 'Accept', '*/*', 'X-b', 'é'];
    expect(passed(raw)).toEqual(raw);
  });

  it.each([
    ['Connection', 'keep-alive'],
    ['Keep-Alive', 'timeout=5'],
    ['Proxy-Connection', 'close'],
    ['Proxy-Authorization', 'Basic YQ=='],
    ['TE', 'gzip'],
    ['Trailer', 'X-Sum'],
    ['Transfer-Encoding', 'chunked'],
    ['transfer_encoding', 'chunked'],
    ['Upgrade', 'h2c'],
    ['HTTP2-Settings', 'AAMAAABkAAQAAP__'],
    ['Host', 'api.example.com'],
    ['Expect', '100-continue'],
    ['Content-Length', '3'],
    ['Tollgate-Principal', 'forged'],
    ['tollgate_workspace', 'forged'],
  ])('do not include %s', (name, value) => {
    expect(passed([name, value])).toEqual([]);
  });

  it('do not include what Connection names, but cannot lose what is added', () => {
    const raw = ['Connection', 'close, X-Hop', 'X-Hop', '1', 'connection', 'Tollgate-Subject', 'X-End', '2'];
    expect(passed(raw, { add: [['Tollgate-Subject', 'me']] })).toEqual(['X-End', '2', 'Tollgate-Subject', 'me']);
  });

  it('do not include the credential, and an added header replaces those of the caller', () => {
    const raw = ['X-Api-Key', 'secret', 'x_api_key', 'secret', 'X-Forwarded-For', '6.6.6.6', 'x_forwarded_for', '6.6.6.6'];
    expect(passed(raw, { drop: ['x-api-key'], add: [['X-Forwarded-For', '1.1.1.1']] })).toEqual(['X-Forwarded-For', '1.1.1.1']);
  });

  it('say TE: trailers if the caller takes trailers', () => {
    expect(passed(['te', 'gzip, Trailers'])).toEqual(['TE', 'trailers']);
  });

  it.each([
    ['a=1; own=2; b=3', 'a=1; b=3'],
    ['own=2; a=1', 'a=1'],
    ['a=1;  own=2', 'a=1'],
    ['own=2', undefined],
    ['a="own=2"; own2=3', 'a="own=2"; own2=3'],
  ])('lose the cookies of Tollgate: %s', (cookie, left) => {
    expect(passed(['Cookie', cookie], { ownCookies: new Set(['own']) })).toEqual(left === undefined ? [] : ['Cookie', left]);
  });

  it.each([
    [['Accept-Encoding', 'gzip, zstd;q=1, BR;q=0.5, *'], 'gzip, BR;q=0.5'],
    [['accept-encoding', 'zstd', 'Accept_Encoding', 'deflate'], 'deflate'],
    [['Accept-Encoding', 'zstd'], 'identity'],
    [[], 'identity'],
  ])('allow only codings that can be read if the usage is in the answer: %j', (raw, expected) => {
    expect(passed(raw, { mustBeReadable: true })).toEqual(['Accept-Encoding', expected]);
  });

  it('keep what others wrote into CDN-Loop, and get the name of this installation', () => {
    expect(headersToUpstream(['CDN-Loop', 'other; v=1'], rules)).toEqual(['CDN-Loop', 'other; v=1', 'CDN-Loop', LOOP_ID]);
  });

  it.each([
    [['CDN-Loop', LOOP_ID], true],
    [['cdn-loop', `a, ${LOOP_ID}; x=1`], true],
    [['CDN-Loop', 'a', 'CDN-Loop', `b,${LOOP_ID}`], true],
    [['CDN-Loop', `${LOOP_ID}-2, x${LOOP_ID}`], false],
    [['X-Other', LOOP_ID], false],
  ])('%j is a loop: %s', (raw, expected) => {
    expect(isLoop(raw, LOOP_ID)).toBe(expected);
  });

  it('of a request that has been here before end in LOOP_DETECTED', async () => {
    const front = await startFront(await startBytes('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    expect((await get(front.url, { headers: { 'cdn-loop': LOOP_ID } })).body.toString()).toBe('LOOP_DETECTED');
    expect(await front.end()).toMatchObject({ kind: 'failed', code: 'LOOP_DETECTED' });
  });

  it('stand on the wire as they came', async () => {
    let seen = '';
    const port = await startRawServer((socket) => {
      onHead(socket, (text) => {
        seen = text;
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      });
    });
    const front = await startFront(port, { headersToAdd: [['Tollgate-Subject', '']] });
    const request = 'GET /a%2Fb?x=%20&&x=1 HTTP/1.1\r\nHost: a\r\nX-Odd:  \xe9 \r\nx-odd: 2\r\nConnection: keep-alive\r\n\r\n';
    const caller = sendRaw(front.url, Buffer.from(request, 'latin1'));
    await caller.answers(1);
    expect(seen).toBe(
      `GET /a%2Fb?x=%20&&x=1 HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nconnection: keep-alive\r\n` +
        `X-Odd: \xe9\r\nx-odd: 2\r\nTollgate-Subject: \r\nCDN-Loop: ${LOOP_ID}\r\n\r\n`,
    );
  });
});

describe('headers of an answer', () => {
  it('reach the caller as they came: order, case and duplicates', () => {
    const raw = ['Set-Cookie', 'a=1', 'X-b', '2', 'set-cookie', 'b=2', 'Content-LENGTH', '3', 'ETag', 'W/"1"', 'X-b', 'é'];
    expect(answered(raw)).toEqual(raw);
  });

  it('do not include headers of the connection, usage, cookies of Tollgate, and headers that are replaced', () => {
    const raw = ['Connection', 'X-Hop', 'X-Hop', '1', 'Keep-Alive', 'timeout=5', 'Transfer-Encoding', 'chunked', 'Tollgate-Usage', 'a=1'];
    raw.push('Set-Cookie', 'own=1; Path=/', 'X-Request-Id', 'theirs', 'Proxy-Authenticate', 'Basic', 'Upgrade', 'h2');
    const more = { ownCookies: new Set(['own']), add: [['X-Request-Id', 'ours']] as const };
    expect(answered(raw, more)).toEqual(['X-Request-Id', 'ours']);
  });

  it.each([
    [['Trailer', 'A, Tollgate-Usage', 'trailer', 'B'], true, ['Trailer', 'A, B']],
    [['Trailer', 'Tollgate-Usage'], true, []],
    [['Trailer', 'A'], false, []],
    [['Trailer', 'A', 'Content-Length', '1'], true, ['Content-Length', '1']],
  ])('announce only trailers that follow: %j', (raw, passTrailers, expected) => {
    expect(answered(raw, { passTrailers })).toEqual(expected);
  });

  it.each([
    [[], ['Cache-Control', 'private']],
    [['Cache-Control', 'max-age=60'], ['Cache-Control', 'private, max-age=60']],
    [
      ['cache-control', 'PUBLIC, max-age=60', 'X-A', '1', 'Cache-Control', 's-maxage=9'],
      ['cache-control', 'private, max-age=60, s-maxage=9', 'X-A', '1'],
    ],
    [['Cache-Control', 'no-store'], ['Cache-Control', 'no-store']],
    [['Cache-Control', 'max-age=1', 'Cache-Control', 'Private'], ['Cache-Control', 'max-age=1', 'Cache-Control', 'Private']],
    [['Cache-Control', 'private="X-A, no-store"'], ['Cache-Control', 'private, private="X-A, no-store"']],
    [['Cache-Control', ''], ['Cache-Control', 'private']],
  ])('keep the answer out of shared caches: %j', (raw, expected) => {
    expect(readHead(200, 'OK', raw, answerRules).headers).toEqual(expected);
  });

  it('stand on the wire as they came, with the reason', async () => {
    const head = 'HTTP/1.1 299 As It Was\r\nDate: then\r\nX-Odd: \xe9\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nCache-Control: no-store\r\n';
    const front = await startFront(await startBytes(`${head}Content-Length: 2\r\n\r\nhi`));
    const caller = sendRaw(front.url, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => caller.text().endsWith('hi'), 'the answer');
    expect(caller.text()).toMatch(head);
  });

  it('with a transfer coding that nobody asked for fail the call', () => {
    expect(() => answered(['Transfer-Encoding', 'gzip, chunked'])).toThrow('gzip');
  });
});

it('trailers that would say something about the connection or the body are removed', () => {
  const raw = ['X-Sum', '1', 'Content-Length', '7', 'Connection', 'close', 'Tollgate-Usage', 'a=1', 'tollgate-usage', 'b=2'];
  expect(readTrailers(raw)).toEqual({ usage: 'a=1, b=2', trailers: [['X-Sum', '1']] });
});
