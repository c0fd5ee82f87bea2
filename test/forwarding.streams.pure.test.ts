import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { get, startBytes, useForwarder } from './support/forwarding';
import { listen, startRawServer, startRawUpstream } from './support/raw-upstream';
import { sendRaw } from './support/raw';
import { until } from './support/until';

const { startFront } = useForwarder();

const MIB = 1024 * 1024;
const portOf = (url: string): number => Number(new URL(url).port);

/** Starts an upstream with Node's HTTP server that answers before it reads the request's body. */
async function startUpstream(answer: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(answer as never);
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return listen(server);
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** The memory of all buffers that are still in use. */
async function bufferBytes(): Promise<number> {
  for (let times = 0; times < 2; times += 1) {
    collectGarbage();
    await new Promise(setImmediate);
  }
  return process.memoryUsage().arrayBuffers;
}

/** Waits until a counter has not moved for a while. */
async function standsStill(count: () => number): Promise<void> {
  let [before, times] = [-1, 0];
  await until(() => {
    times = count() === before && before > 0 ? times + 1 : 0;
    before = count();
    return times > 10;
  }, 'the sender to wait');
}

describe('an answer', () => {
  it('passes each server-sent event on at once, without waiting for the next one', async () => {
    let stream: ServerResponse | undefined;
    const port = await startUpstream((_request, response) => {
      stream = response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
    });
    const front = await startFront(port);
    const sent = httpRequest(front.url).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    const tookMs: number[] = [];
    for (let event = 0; event < 40; event += 1) {
      const sentAt = performance.now();
      stream?.write(`data: ${event}\n\n`);
      expect(String(await once(answer, 'data'))).toBe(`data: ${event}\n\n`);
      tookMs.push(performance.now() - sentAt);
    }
    sent.destroy();
    expect(tookMs.sort((a, b) => a - b)[10]).toBeLessThan(2); // not the median, because a busy machine delays many
  });

  it('has its head passed on before its body', async () => {
    const port = await startUpstream((_request, response) => void response.writeHead(200, { 'x-early': '1' }).flushHeaders());
    const front = await startFront(port);
    const sent = httpRequest(front.url).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    expect(answer.headers['x-early']).toBe('1');
    sent.destroy();
  });

  it('keeps chunks and their order, also if several arrive together', async () => {
    const front = await startFront(
      await startBytes('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n'),
    );
    expect((await get(front.url)).body.toString()).toBe('abcdef');
  });

  it('of 100 MiB costs about 1 MiB of memory, even if the caller does not read', async () => {
    const block = Buffer.alloc(MIB, 'x');
    let sentBytes = 0;
    const port = await startUpstream((_request, response) => {
      response.writeHead(200, { 'content-length': 100 * MIB });
      const more = (): void => {
        while (sentBytes < 100 * MIB) {
          sentBytes += MIB;
          if (!response.write(block)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    const front = await startFront(port);
    const caller = connect(front.port, '127.0.0.1').pause();
    const before = await bufferBytes();
    caller.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await standsStill(() => sentBytes);
    expect(sentBytes).toBeLessThan(40 * MIB); // this is in the buffers of the operating system
    expect((await bufferBytes()) - before).toBeLessThan(MIB);
    let gotBytes = 0;
    caller.on('data', (chunk: Buffer) => (gotBytes += chunk.length));
    caller.resume();
    await until(() => gotBytes > 100 * MIB, 'the whole answer');
    expect(await front.end()).toMatchObject({ kind: 'complete', status: 200 });
    caller.destroy();
  });

  it('has its trailers passed on', async () => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Tollgate-Usage\r\n\r\n';
    const front = await startFront(await startBytes(`${head}2\r\nhi\r\n0\r\nX-Sum: abc\r\nTollgate-Usage: faces=3\r\n\r\n`));
    const got = await get(front.url);
    expect(got.headers.trailer).toBe('X-Sum');
    expect(got.trailers).toEqual({ 'x-sum': 'abc' });
    expect(await front.end()).toMatchObject({ usage: { faces: 3 } });
  });

  it('reaches a caller of HTTP/1.0 without chunks and trailers', async () => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n';
    const front = await startFront(await startBytes(`${head}2\r\nhi\r\n0\r\nX-Sum: abc\r\n\r\n`));
    const caller = sendRaw(front.url, 'GET / HTTP/1.0\r\n\r\n');
    await caller.closed();
    expect(caller.text()).toMatch(/\r\n\r\nhi$/);
    expect(caller.text()).not.toMatch(/trailer|X-Sum|transfer-encoding/i);
  });

  it('without length is passed on as chunks', async () => {
    const port = await startRawServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\nhello')));
    const front = await startFront(port);
    const got = await get(front.url);
    expect(got.headers['transfer-encoding']).toBe('chunked');
    expect(got.body.toString()).toBe('hello');
  });

  it('loses its interim answers', async () => {
    const front = await startFront(
      await startBytes('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'),
    );
    const caller = sendRaw(front.url, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => caller.text().endsWith('hi'), 'the answer');
    expect(caller.statuses()).toEqual([200]);
  });

  it('is not followed if it is a redirect', async () => {
    const front = await startFront(await startBytes('HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n'));
    expect(await get(front.url)).toMatchObject({ status: 302, headers: { location: '/elsewhere' } });
    expect(await front.end()).toMatchObject({ kind: 'complete', status: 302, isBilled: false, usage: null });
  });
});

describe('the body of a request', () => {
  it.each([
    ['content-length', '11'],
    ['transfer-encoding', 'chunked'],
  ])('is passed on as it arrives, with %s: %s', async (framing, value) => {
    const parts: string[] = [];
    let framed: unknown;
    const port = await startUpstream((request, response) => {
      framed = request.headers[framing];
      request.on('data', (chunk: Buffer) => parts.push(chunk.toString()));
      request.on('end', () => response.end('done'));
    });
    const front = await startFront(port);
    const sent = httpRequest(front.url, { method: 'POST', headers: { [framing]: value } });
    sent.write('first ');
    await until(() => parts.length === 1, 'the first part at the upstream');
    sent.end('whole');
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    answer.resume();
    expect(parts).toEqual(['first ', 'whole']);
    expect(framed).toBe(value);
  });

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'GET', 'REPORT'])('arrives whole with %s', async (method) => {
    const upstream = await startRawUpstream((response) => response.end('ok'));
    const front = await startFront(portOf(upstream.url));
    expect((await get(front.url, { method, headers: { 'content-length': 7 } }, '{"a":1}')).body.toString()).toBe('ok');
    expect(upstream.received).toMatchObject([{ method, body: '{"a":1}', headers: { 'content-length': '7' } }]);
  });

  it('that has been read before is passed on as bytes', async () => {
    const upstream = await startRawUpstream((response) => response.end('ok'));
    const front = await startFront(portOf(upstream.url), { body: Buffer.from('kept body') });
    await get(front.url, { method: 'POST' }, 'kept body');
    expect(upstream.received).toMatchObject([{ body: 'kept body', headers: { 'content-length': '9' } }]);
  });

  it('of 100 MiB costs about 1 MiB of memory, even if the upstream does not read', async () => {
    let atUpstream: IncomingMessage | undefined;
    const port = await startUpstream((request, response) => {
      atUpstream = request;
      request.on('end', () => response.end('done'));
    });
    const front = await startFront(port);
    const block = Buffer.alloc(MIB, 'x');
    let sentBytes = 0;
    const sent = httpRequest(front.url, { method: 'POST', headers: { 'content-length': 100 * MIB } });
    const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
    const more = (): void => {
      while (sentBytes < 100 * MIB) {
        sentBytes += MIB;
        if (!sent.write(block)) return void sent.once('drain', more);
      }
      sent.end();
    };
    const before = await bufferBytes();
    more();
    await standsStill(() => sentBytes);
    expect(sentBytes).toBeLessThan(40 * MIB);
    expect((await bufferBytes()) - before).toBeLessThan(MIB);
    atUpstream?.resume();
    const [answer] = await answered;
    expect(answer.statusCode).toBe(200);
    answer.resume();
  });

  it('is asked for with 100 Continue only when the upstream takes it', async () => {
    const port = await startUpstream((request, response) => {
      request.on('data', () => undefined).on('end', () => response.end('ok'));
    });
    const front = await startFront(port);
    const caller = sendRaw(front.url, 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    await until(() => caller.text().includes('100 Continue'), '100 Continue');
    expect(caller.text()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    caller.socket.write('hi');
    await until(() => caller.text().endsWith('ok\r\n0\r\n\r\n') || caller.text().endsWith('ok'), 'the answer');
    expect(caller.statuses()).toEqual([100, 200]);
  });

  it('is not asked for if the caller sends it anyway', async () => {
    const upstream = await startRawUpstream((response) => response.end('ok'));
    const front = await startFront(portOf(upstream.url));
    const caller = sendRaw(front.url, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh');
    await wait(50);
    caller.socket.write('i');
    await until(() => caller.text().includes('ok'), 'the answer');
    expect(caller.statuses()).toEqual([200]);
  });

  it('is never asked for if the call fails before', async () => {
    const front = await startFront(1);
    const caller = sendRaw(front.url, 'POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    await caller.answers(1);
    expect(caller.statuses()).toEqual([502]);
  });

  it.each([
    ['content-length', '11'],
    ['transfer-encoding', 'chunked'],
  ])('over the limit is PAYLOAD_TOO_LARGE, and the upstream is aborted, with %s: %s', async (framing, value) => {
    const isDeclared = framing === 'content-length';
    const upstreamBytes: string[] = [];
    let isClosed = false;
    const port = await startRawServer((socket) => {
      socket.on('data', (chunk) => upstreamBytes.push(chunk.toString())).on('close', () => (isClosed = true));
    });
    const front = await startFront(port, { maxBodyBytes: 10 });
    const sent = httpRequest(front.url, { method: 'POST', headers: { [framing]: value } });
    sent.write('first ');
    if (!isDeclared) await until(() => upstreamBytes.length > 0, 'the first part at the upstream');
    sent.end('whole');
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    answer.resume();
    expect(await front.end()).toMatchObject({ kind: 'failed', code: 'PAYLOAD_TOO_LARGE' });
    if (!isDeclared) await until(() => isClosed, 'the end of the connection to the upstream');
    else expect(upstreamBytes).toEqual([]);
  });

  it('that is refused does not hide the refusal, even if the connection ends with it', async () => {
    const front = await startFront(1, { maxBodyBytes: MIB });
    for (const _ of Array(5)) {
      const caller = sendRaw(front.url, `POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${10 * MIB}\r\n\r\n`);
      const sent = new Promise((resolve) => caller.socket.write(Buffer.alloc(10 * MIB), resolve));
      expect(await sent).toBeFalsy(); // no error
      await caller.closed();
      expect(caller.text()).toMatch(/PAYLOAD_TOO_LARGE$/);
    }
  });

  it('that the upstream refuses to read does not hide its answer', async () => {
    const port = await startUpstream((_request, response) => {
      response.writeHead(401, { connection: 'close', 'content-length': 4 }).end('who?');
    });
    const front = await startFront(port);
    for (const _ of Array(20)) {
      const got = await get(front.url, { method: 'POST' }, Buffer.alloc(5 * MIB, 'x'));
      expect(got).toMatchObject({ status: 401, body: Buffer.from('who?') });
    }
  });
});
