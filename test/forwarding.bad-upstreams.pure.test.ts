import { get, startBytes, useForwarder, type FrontOptions } from './support/forwarding';
import { sendRaw } from './support/raw';
import { startRawServer, startRawUpstream } from './support/raw-upstream';
import { until } from './support/until';

const { startFront } = useForwarder();

const failed = { kind: 'failed', code: 'UPSTREAM_FAILED' };

/** Calls an upstream with this answer. Returns the answer's body, or the code of the error with which the connection ended. */
async function callAgainst(port: number, options?: FrontOptions): Promise<{ got: string | undefined; settled: unknown }> {
  const front = await startFront(port, { timeoutMs: 2000, idleTimeoutMs: 2000, ...options });
  const got = await get(front.url).then(
    ({ body }) => body.toString(),
    (error: NodeJS.ErrnoException) => error.code,
  );
  return { got, settled: await front.end() };
}

describe('an upstream that breaks the protocol', () => {
  it.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'],
    ['two lengths in a line', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['chunks and a length', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n'],
    ['a negative length', 'HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello'],
    ['another transfer coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['a header with a control character', 'HTTP/1.1 200 OK\r\nX-Bad: a\x01b\r\nContent-Length: 0\r\n\r\n'],
    ['a header with NUL', 'HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 0\r\n\r\n'],
    ['a space in a header name', 'HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello'],
    ['a bare line feed', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n'],
    ['a reason with a control character', 'HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a head that is too large', `HTTP/1.1 200 OK\r\n${'X-Large: abcdefgh\r\n'.repeat(8000)}\r\n`],
    ['a header that is too large', `HTTP/1.1 200 OK\r\nX-Large: ${'a'.repeat(100_000)}\r\n\r\n`],
  ])('with %s is answered as UPSTREAM_FAILED', async (_what, bytes) => {
    expect(await callAgainst(await startBytes(bytes))).toMatchObject({ got: 'UPSTREAM_FAILED', settled: failed });
  });

  it.each([
    ['a chunk without a size', '5\r\nhello\r\nhello\r\n0\r\n\r\n'],
    ['a chunk that is longer than its size', '2\r\nhello\r\n0\r\n\r\n'],
    ['a size that is too large', 'fffffffffffffffff\r\nhello\r\n0\r\n\r\n'],
    ['a negative size', '-1\r\nhello\r\n0\r\n\r\n'],
    ['trailers that are too large', `5\r\nhello\r\n0\r\n${'X-Large: abcdefgh\r\n'.repeat(8000)}\r\n`],
    ['a trailer with a control character', '5\r\nhello\r\n0\r\nX-Bad: a\x01b\r\n\r\n'],
  ])('with %s in a body that has begun cuts the connection of the caller', async (_what, rest) => {
    const port = await startRawServer((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
        setTimeout(() => socket.write(Buffer.from(rest, 'latin1')), 30);
      });
    });
    expect(await callAgainst(port)).toMatchObject({ got: 'ECONNRESET', settled: failed });
  });

  it.each([
    ['headers without end', 'HTTP/1.1 200 OK\r\n', 'X-Long: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n', 'UPSTREAM_FAILED'],
    ['a reason without end', 'HTTP/1.1 200 ', 'O', 'UPSTREAM_TIMEOUT'],
    ['interim answers without end', '', 'HTTP/1.1 102 Processing\r\n\r\n', 'UPSTREAM_TIMEOUT'],
  ])('with %s does not hang', async (_what, first, more, code) => {
    const port = await startRawServer((socket) => {
      socket.once('data', () => {
        socket.write(first);
        const timer = setInterval(() => socket.write(more.repeat(1000)), 5);
        socket.on('close', () => clearInterval(timer));
      });
    });
    expect(await callAgainst(port, { timeoutMs: 300 })).toMatchObject({ got: code, settled: { kind: 'failed', code } });
  });

  it('with a chunk extension without end does not hang', async () => {
    const port = await startRawServer((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n5;');
        const timer = setInterval(() => socket.write('a'.repeat(1000)), 5);
        socket.on('close', () => clearInterval(timer));
      });
    });
    expect(await callAgainst(port, { idleTimeoutMs: 300 })).toMatchObject({ got: 'ECONNRESET' });
  });

  it('with an answer that nobody asked for does not disturb the next call', async () => {
    const answer = (text: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
    const port = await startRawServer((socket) => {
      socket.on('data', (request) => socket.write(answer('own') + (request.toString().includes('/first') ? answer('forged') : '')));
    });
    const front = await startFront(port);
    await get(`${front.url}/first`);
    expect((await get(`${front.url}/second`)).body.toString()).toBe('own');
  });

  it('that has more than Content-Length says does not disturb the next call', async () => {
    const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there';
    const port = await startRawServer((socket) => socket.on('data', () => socket.write(answer)));
    const front = await startFront(port);
    for (const _ of Array(5)) expect((await get(front.url)).body.toString()).toBe('hi');
  });

  it('that is not there is UPSTREAM_FAILED', async () => {
    expect(await callAgainst(1)).toMatchObject({ got: 'UPSTREAM_FAILED', settled: { cause: expect.stringContaining('ECONNREFUSED') } });
  });

  it('that answers 100 unasked is UPSTREAM_FAILED', async () => {
    const port = await startBytes('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
    expect(await callAgainst(port)).toMatchObject({ got: 'UPSTREAM_FAILED' });
  });
});

describe('a caller that wants to smuggle a request', () => {
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

  it.each([
    ['a length and chunks', `Content-Length: ${smuggled.length + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['chunks and a length', `Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${smuggled}`],
    ['two lengths', `Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
    ['an odd transfer coding', `Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['two transfer codings', `Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a space before the colon', `Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`],
    ['a folded header', `X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
    ['a length in Connection', `Connection: Content-Length\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
    [
      'chunks in Connection',
      `Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`,
    ],
    ['a length in an underscore header', `Content_Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`],
  ])('with %s gets no second request to the upstream', async (_what, rest) => {
    const paths: string[] = [];
    const port = await startUpstreamThatLists(paths);
    const front = await startFront(port);
    const caller = sendRaw(front.url, `POST /first HTTP/1.1\r\nHost: a\r\n${rest}`);
    await until(() => caller.socket.closed || caller.statuses().length > 0, 'an answer');
    await get(`${front.url}/last`);
    const refused = caller.text().startsWith('HTTP/1.1 400');
    expect(paths).toEqual(refused ? ['/last'] : ['/first', '/last']);
  });
});

/** Starts an HTTP server that notes the paths of its requests. */
async function startUpstreamThatLists(paths: string[]): Promise<number> {
  const { url } = await startRawUpstream((response, request) => {
    paths.push(request.url as string);
    response.end('ok');
  });
  return Number(new URL(url).port);
}
