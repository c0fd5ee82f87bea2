import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { holder, onHead, get, startBytes, useForwarder } from './support/forwarding';
import { sendRaw } from './support/raw';
import { startRawServer } from './support/raw-upstream';
import { until } from './support/until';

const { startFront, forwarder } = useForwarder();

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';

/** Starts an upstream that answers when `answer` is called. */
async function startSlow(): Promise<{ port: number; sockets: Socket[]; answer(bytes: string): void }> {
  const sockets: Socket[] = [];
  const port = await startRawServer((socket) => {
    socket.on('data', () => sockets.includes(socket) || sockets.push(socket));
  });
  return { port, sockets, answer: (bytes) => sockets.forEach((socket) => socket.write(bytes)) };
}

describe('a caller that leaves', () => {
  it('before its request is whole takes the call along', async () => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port);
    const caller = sendRaw(front.url, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf');
    await until(() => upstream.sockets.length === 1, 'the request at the upstream');
    caller.socket.destroy();
    expect(await front.end()).toMatchObject({ kind: 'failed', code: 'CALLER_GONE' });
    await until(() => upstream.sockets[0]?.closed === true, 'the end of the connection to the upstream');
  });

  it.each([
    ['without a body', GET],
    ['with a body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody'],
    ['with a body in chunks', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n'],
  ])('after its request, %s, has its call run to the end', async (_what, request) => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port);
    const caller = sendRaw(front.url, request);
    await until(() => upstream.sockets.length === 1, 'the request at the upstream');
    await wait(50);
    caller.socket.destroy();
    await wait(50);
    upstream.answer(OK);
    expect(await front.end()).toMatchObject({ kind: 'complete', status: 200 });
  });

  const OPEN = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n';

  it.each([
    ['leaves', (caller: Socket) => void caller.destroy()],
    ['sends too much', (caller: Socket) => void caller.write('9\r\nxxxxxxxxx\r\n')],
  ])('and %s after a billed answer has begun, but before its request is whole, has its call run to the end', async (_what, end) => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port, { maxBodyBytes: 5 });
    const caller = sendRaw(front.url, OPEN);
    await until(() => upstream.sockets.length === 1, 'the request at the upstream');
    upstream.answer('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell');
    await until(() => caller.text().endsWith('hell'), 'almost all of the answer');
    end(caller.socket);
    await caller.closed();
    await wait(30);
    upstream.answer('o');
    expect(await front.end()).toMatchObject({ kind: 'complete', status: 200 });
  });

  it('after an answer that is not billed has begun takes the call along', async () => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port);
    const caller = sendRaw(front.url, OPEN);
    await until(() => upstream.sockets.length === 1, 'the request at the upstream');
    upstream.answer('HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nhell');
    await caller.answers(1);
    caller.socket.destroy();
    expect(await front.end()).toMatchObject({ kind: 'failed', code: 'CALLER_GONE' });
  });

  it('in the middle of the answer has its call run to the end', async () => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port);
    const caller = sendRaw(front.url, GET);
    await until(() => upstream.sockets.length === 1, 'the request at the upstream');
    upstream.answer('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n');
    await caller.answers(1);
    caller.socket.destroy();
    await wait(30);
    upstream.answer('x'.repeat(1_000_000));
    expect(await front.end()).toMatchObject({ kind: 'complete', status: 200 });
  });
});

describe('a caller that does nothing for idleTimeoutMs', () => {
  it.each(['', ' and sends the next request byte by byte'])('while it should read%s is cut off; its call runs on', async (sends) => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port, { idleTimeoutMs: 300, maxDurationMs: 4_000 });
    const caller = sendRaw(front.url, GET);
    caller.socket.pause();
    if (sends) caller.socket.write('GET / HTTP/1.1\r\nX: ');
    const sending = setInterval(() => sends && caller.socket.write('x'), 50);
    await until(() => upstream.sockets.length === 1, 'the request at the upstream');
    const [answering] = upstream.sockets as [Socket];
    const block = 'x'.repeat(1_000_000);
    answering.write(`HTTP/1.1 200 OK\r\nContent-Length: ${30 * block.length}\r\n\r\n`);
    for (let sent = 0; sent < 30; sent += 1) if (!answering.write(block)) await once(answering, 'drain');
    expect(await front.end()).toMatchObject({ kind: 'complete', status: 200 });
    clearInterval(sending);
    caller.socket.resume();
    await caller.closed();
    expect(caller.text().length).toBeLessThan(30 * block.length);
  });

  it('while the end of its answer waits is cut off', async () => {
    const block = 'x'.repeat(30_000_000);
    const port = await startBytes(`HTTP/1.1 200 OK\r\nContent-Length: ${block.length}\r\n\r\n`, block);
    const front = await startFront(port, { idleTimeoutMs: 300 });
    const caller = sendRaw(front.url, GET);
    caller.socket.pause();
    await front.end();
    await until(async () => (await connections(front.server)) === 0, 'the end of the connection');
  });

  it.each([
    ['until maxDurationMs is cut off', false],
    ['and leaves just before maxDurationMs cannot avoid the bill', true],
  ])('but reads slowly %s: the answer is read to its end', async (_when, leaves) => {
    const block = 'x'.repeat(60_000_000);
    const port = await startBytes(`HTTP/1.1 200 OK\r\nContent-Length: ${block.length}\r\n\r\n`, block);
    const front = await startFront(port, { maxDurationMs: 600 });
    const caller = sendRaw(front.url, GET);
    caller.socket.on('data', () => caller.socket.pause()); // reads one chunk at a time
    const started = performance.now();
    const reading = setInterval(() => {
      if (leaves && performance.now() - started > 550) caller.socket.destroy();
      else caller.socket.resume();
    }, 20);
    expect(await front.end()).toMatchObject({ kind: 'complete', status: 200 });
    clearInterval(reading);
    caller.socket.destroy();
    expect(caller.text().length).toBeLessThan(block.length);
  });

  it('but reads slowly gets its whole answer', async () => {
    const block = 'x'.repeat(6_000_000);
    const port = await startBytes(`HTTP/1.1 200 OK\r\nContent-Length: ${block.length}\r\n\r\n`, block);
    const front = await startFront(port, { idleTimeoutMs: 400 });
    const caller = sendRaw(front.url, GET);
    const reading = setInterval(() => (caller.socket.isPaused() ? caller.socket.resume() : caller.socket.pause()), 20);
    await until(() => caller.text().length > block.length, 'the whole answer');
    clearInterval(reading);
  });

  it('while it should send ends the call as CALLER_GONE, and can read an answer', async () => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port, { idleTimeoutMs: 1000, timeoutMs: 400 });
    const caller = sendRaw(front.url, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n');
    for (const part of ['h', 'a', 'l', 'f']) {
      await wait(400);
      caller.socket.write(part);
    }
    await caller.answers(1);
    expect(caller.text()).toMatch(/CALLER_GONE$/);
    expect(front.settled).toMatchObject([{ kind: 'failed', code: 'CALLER_GONE' }]);
    await until(() => upstream.sockets[0]?.closed === true, 'the end of the connection to the upstream');
  });
});

const connections = (server: { getConnections(callBack: (error: Error | null, count: number) => void): unknown }): Promise<number> =>
  new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));

describe('an upstream', () => {
  it('that does not begin its answer within timeoutMs is UPSTREAM_TIMEOUT', async () => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port, { timeoutMs: 400 });
    expect((await get(front.url)).body.toString()).toBe('UPSTREAM_TIMEOUT');
    await until(() => upstream.sockets[0]?.closed === true, 'the end of the connection to the upstream');
  });

  it('has timeoutMs from the end of the request, however long the request takes', async () => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port, { timeoutMs: 200 });
    const caller = sendRaw(front.url, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n');
    for (const part of 'body') {
      await wait(100);
      caller.socket.write(part);
    }
    await wait(100);
    expect(front.settled).toEqual([]);
    caller.socket.write('.');
    await until(() => front.settled.length > 0, 'the end of the call', 5_000);
    expect(front.settled).toMatchObject([{ kind: 'failed', code: 'UPSTREAM_TIMEOUT' }]);
  });

  it('that is silent for idleTimeoutMs in its answer is UPSTREAM_TIMEOUT, and the caller is cut off', async () => {
    const front = await startFront(await startBytes('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel'), { idleTimeoutMs: 100 });
    await expect(get(front.url)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await front.end()).toMatchObject({ kind: 'failed', code: 'UPSTREAM_TIMEOUT' });
  });

  it('that takes longer than maxDurationMs in all is UPSTREAM_TIMEOUT', async () => {
    const port = await startRawServer((socket) => {
      onHead(socket, () => {
        socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
        const timer = setInterval(() => socket.write('1\r\nx\r\n'), 20);
        socket.on('close', () => clearInterval(timer));
      });
    });
    const front = await startFront(port, { maxDurationMs: 200, idleTimeoutMs: 100 });
    await expect(get(front.url)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await front.end()).toMatchObject({ kind: 'failed', code: 'UPSTREAM_TIMEOUT' });
  });

  it('that takes nothing of the body for idleTimeoutMs is UPSTREAM_TIMEOUT', async () => {
    const port = await startRawServer((socket) => socket.pause());
    const front = await startFront(port, { idleTimeoutMs: 200 });
    await get(front.url, { method: 'POST' }, Buffer.alloc(30_000_000)).catch(() => undefined);
    expect(await front.end()).toMatchObject({ kind: 'failed', code: 'UPSTREAM_TIMEOUT' });
  });
});

describe('a call', () => {
  it('ends when it is stopped', async () => {
    const upstream = await startSlow();
    let stop: (cause: string) => void = () => undefined;
    const front = await startFront(upstream.port, { onBegin: (end) => (stop = end) });
    const answer = get(front.url);
    await until(() => upstream.sockets.length === 1, 'the request at the upstream');
    stop('The hold is lost.');
    expect((await answer).body.toString()).toBe('SERVICE_UNAVAILABLE');
    expect(front.settled).toMatchObject([{ cause: expect.stringContaining('The hold is lost.') }]);
  });

  it('ends when the forwarder is closed, also while it connects or waits', async () => {
    const upstream = await startSlow();
    const front = await startFront(upstream.port);
    const silentPort = await startRawServer((socket) => socket.resume());
    const unreachable = await startFront(silentPort, { origin: `https://127.0.0.1:${silentPort}` });
    const answers = [get(front.url), get(unreachable.url)];
    await until(() => upstream.sockets.length === 1, 'the request at the upstream');
    await wait(50);
    await forwarder().close();
    expect((await Promise.all(answers)).map(({ body }) => body.toString())).toEqual(['SERVICE_UNAVAILABLE', 'SERVICE_UNAVAILABLE']);
    await until(() => upstream.sockets[0]?.closed === true, 'the end of the connection to the upstream');
  });

  it('is not sent again if the upstream closes a kept connection', async () => {
    let requests = 0;
    const port = await startRawServer((socket) => {
      let isFirst = true;
      onHead(socket, () => {
        requests += 1;
        if (isFirst) socket.write(OK);
        else socket.destroy();
        isFirst = false;
      });
    });
    const front = await startFront(port);
    await get(front.url);
    await wait(20);
    expect((await get(front.url)).body.toString()).toBe('UPSTREAM_FAILED');
    expect(requests).toBe(2);
  });

  it('of another workspace finds a place, however many long streams of one workspace run', async () => {
    const port = await startRawServer((socket) => {
      onHead(socket, (text) => socket.write(text.includes('/stream') ? 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh' : OK));
    });
    const streams = await startFront(port, { idleTimeoutMs: 60_000, maxDurationMs: 60_000 });
    const others = await startFront(port, { holder: { projectId: 'prj_2', workspaceId: 'ws_2' } });
    const callers = Array.from({ length: 1000 }, () => sendRaw(streams.url, GET.replace('/', '/stream')));
    const begun = (): number => callers.filter((caller) => caller.text() !== '').length;
    await until(() => begun() === 768, 'three quarters of all places');
    expect((await get(others.url)).status).toBe(200);
    expect(begun()).toBe(768);
    for (const caller of callers) caller.socket.destroy();
  });

  it('that waits for a place in vain is UPSTREAM_TIMEOUT, and takes none', async () => {
    const port = await startRawServer((socket) => {
      onHead(socket, (text) => socket.write(text.includes('/stream') ? 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh' : OK));
    });
    const front = await startFront(port, { holder, idleTimeoutMs: 60_000, maxDurationMs: 60_000 });
    const callers = Array.from({ length: 768 }, () => sendRaw(front.url, GET.replace('/', '/stream')));
    await until(() => callers.every((caller) => caller.text() !== ''), 'all streams');
    const late = await startFront(port, { timeoutMs: 100 });
    expect((await get(late.url)).body.toString()).toBe('UPSTREAM_TIMEOUT');
    for (const caller of callers) caller.socket.destroy();
  });
});
