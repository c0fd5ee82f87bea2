import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import net, { type Socket } from 'node:net';
import { MAX_CALLS_PER_UPSTREAM_EACH, MAX_CALLS_PER_UPSTREAM_TOGETHER } from '../src/actions/http-runner';
import type { ActionOutcome } from '../src/actions/runner';
import { NO, OK, json, listen, startRawServer, startRawUpstream, type Answer } from './support/raw-upstream';
import { callOf, failed, timedOut, useRunner } from './support/runner';

const { run, runAgainst, close } = useRunner();

/** Waits until undici can use the connection again, one turn of the event loop after an answer. An earlier call would open another one. */
const connectionFree = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a connection', () => {
  it('is used again by later calls after a success, a refusal and a failure', async () => {
    const answers = [json(200, OK), json(404, NO), json(503, 'busy'), json(200, 'no JSON'), json(200, OK)];
    const upstream = await startRawUpstream((response, request, { received }) =>
      answers[received.length - 1]?.(response, request, upstream),
    );
    for (const _ of answers) {
      await run(upstream.url);
      await connectionFree();
    }
    expect(upstream.received).toHaveLength(answers.length);
    expect(upstream.connections).toBe(1);
  });

  it('that breaks in the middle of an answer is UPSTREAM_FAILED', async () => {
    const halfAnAnswer: Answer = (response) => {
      response.writeHead(200, { 'content-length': OK.length });
      response.write(OK.slice(0, 10), () => response.socket?.destroy());
    };
    expect(await runAgainst(halfAnAnswer)).toEqual(failed);
  });

  it('that the upstream refuses is UPSTREAM_FAILED', async () => {
    const server = net.createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await run(`http://127.0.0.1:${port}/`)).toEqual({ ...failed, cause: expect.stringContaining('ECONNREFUSED') as string });
  });

  it.each(['not a URL', 'ftp://127.0.0.1/', 'http://'])('to the invalid URL %s is UPSTREAM_FAILED', async (url) => {
    expect(await run(url)).toEqual(failed);
  });

  it('that the upstream closes during a call fails the call, which is not sent again because it may have run', async () => {
    const upstream = await startRawUpstream((response, request, { received }) => {
      if (received.length === 1) json(200, OK)(response, request, upstream);
      else request.socket.destroy();
    });
    expect(await run(upstream.url)).toMatchObject({ kind: 'ok' });
    await connectionFree();
    expect(await run(upstream.url)).toEqual(failed);
    expect(upstream.connections).toBe(1);
    expect(upstream.received).toHaveLength(2);
    await run(upstream.url);
    expect(upstream.received).toHaveLength(3);
  });

  it('that the upstream closed while idle does not make the next call fail', async () => {
    const upstream = await startRawUpstream(json(200, OK));
    const closed = once(upstream.server, 'connection').then(([socket]) => once(socket as Socket, 'close'));
    await run(upstream.url);
    upstream.server.closeIdleConnections();
    await closed;
    expect(await run(upstream.url)).toMatchObject({ kind: 'ok' });
    expect(upstream.connections).toBe(2);
  });

  it('is closed by close(), and running calls end as UPSTREAM_FAILED', async () => {
    const upstream = await startRawUpstream((response, request, { received }) => {
      if (received.length === 1) json(200, OK)(response, request, upstream);
    });
    const sockets: Socket[] = [];
    upstream.server.on('connection', (socket) => sockets.push(socket));
    await run(upstream.url);
    const received = once(upstream.server, 'received');
    const hanging = run(upstream.url);
    await received;
    const gone = sockets.map((socket) => once(socket, 'close'));
    await close();
    expect(await hanging).toEqual(failed);
    await Promise.all(gone);
    expect(await run(upstream.url)).toEqual(failed);
  });

  it('that is not established yet is closed by close()', async () => {
    let closed: Promise<unknown> | undefined;
    const port = await startRawServer((socket) => {
      closed = once(socket.resume(), 'close');
    });
    expect(await run(`https://127.0.0.1:${port}/`, 200)).toMatchObject({ code: 'UPSTREAM_TIMEOUT' });
    await close();
    await closed;
  }, 5_000); // undici would give up after ten seconds
});

describe('the time limit of a call', () => {
  /** Returns the outcome and its duration in milliseconds. */
  const timed = async (outcome: Promise<ActionOutcome>): Promise<[ActionOutcome, number]> => {
    const start = performance.now();
    return [await outcome, performance.now() - start];
  };
  // Far above the time limits here, so that a slow machine passes. Far below undici's timeouts, so that a limit without effect fails.
  const SOON_MS = 5_000;

  it('ends the call at timeoutMs if the upstream never answers, and closes the connection', async () => {
    const upstream = await startRawUpstream(() => undefined);
    const closed = once(upstream.server, 'connection').then(([socket]) => once(socket as Socket, 'close'));
    const [outcome, tookMs] = await timed(run(upstream.url, 200));
    expect(outcome).toEqual(timedOut);
    expect(tookMs).toBeGreaterThanOrEqual(199);
    expect(tookMs).toBeLessThan(SOON_MS);
    await closed;
  });

  it.each([200, 500])('ends the call at timeoutMs even if the body of a %i keeps arriving slowly', async (status) => {
    let closed: Promise<unknown> | undefined;
    const trickle: Answer = (response) => {
      closed = once(response, 'close');
      response.writeHead(status);
      const drip = setInterval(() => response.write(' '), 10);
      response.on('close', () => clearInterval(drip));
    };
    const [outcome, tookMs] = await timed(runAgainst(trickle, 200));
    expect(outcome).toEqual(timedOut);
    expect(tookMs).toBeLessThan(SOON_MS);
    await closed;
  });

  it('ends the call at timeoutMs even if the headers keep arriving slowly', async () => {
    const port = await startRawServer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx-slow: ');
      const drip = setInterval(() => socket.write('z'), 10);
      socket.on('close', () => clearInterval(drip));
    });
    const [outcome, tookMs] = await timed(run(`http://127.0.0.1:${port}/`, 200));
    expect(outcome).toEqual(timedOut);
    expect(tookMs).toBeLessThan(SOON_MS);
  });

  it('ends the call at timeoutMs if the TLS connection is never established', async () => {
    const port = await startRawServer(() => undefined); // accepts the TCP connection and never answers in TLS
    const [outcome, tookMs] = await timed(run(`https://127.0.0.1:${port}/`, 200));
    expect(outcome).toEqual(timedOut);
    expect(tookMs).toBeLessThan(SOON_MS);
  });

  it('includes waiting for a connection, and other upstreams do not wait, even on the same host', async () => {
    const held: ServerResponse[] = [];
    const upstream = await startRawUpstream((response, request) => {
      if (request.url === '/slow') held.push(response);
      else json(200, OK)(response, request, upstream);
    });
    const other = await startRawUpstream(json(200, OK));
    const slowUrl = new URL('/slow', upstream.url).href;

    const running = Array.from({ length: MAX_CALLS_PER_UPSTREAM_EACH }, () => run(slowUrl, 60_000));
    while (held.length < MAX_CALLS_PER_UPSTREAM_EACH) await once(upstream.server, 'received');
    expect(await run(slowUrl, 200)).toEqual(timedOut);
    expect(await run(upstream.url)).toMatchObject({ kind: 'ok' });
    expect(await run(other.url)).toMatchObject({ kind: 'ok' });

    // A call that timed out has left the queue, so the next place goes to a call that still waits.
    const patient = run(slowUrl, 60_000);
    held.shift()?.end(OK);
    while (held.length < MAX_CALLS_PER_UPSTREAM_EACH) await once(upstream.server, 'received');
    for (const response of held) response.end(OK);
    const outcomes = await Promise.all([...running, patient]);
    expect(new Set(outcomes.map((outcome) => outcome.kind))).toEqual(new Set(['ok']));
    expect(upstream.received.filter(({ url }) => url === '/slow')).toHaveLength(MAX_CALLS_PER_UPSTREAM_EACH + 1);
  });

  it('is not used up by a busy project: other projects get places, and waiting projects are served in turns', async () => {
    const held: ServerResponse[] = [];
    const projects: string[] = [];
    const upstream = await startRawUpstream((response, _request, { received }) => {
      projects.push((JSON.parse(received.at(-1)?.body ?? '') as { context: { projectId: string } }).context.projectId);
      if (projects.at(-1) === 'prj_quick') response.end(OK);
      else held.push(response);
    });
    const runOf = (projectId: string, workspaceId = 'ws_slow') => {
      const call = callOf();
      return run(upstream.url, 60_000, { ...call, context: { ...call.context, projectId, workspaceId } });
    };
    const running = Array.from({ length: 400 }, () => runOf('prj_slow'));
    while (held.length < MAX_CALLS_PER_UPSTREAM_EACH) await once(upstream.server, 'received');
    for (let time = 0; time < 3; time++) expect(await runOf('prj_quick')).toMatchObject({ kind: 'ok' });
    running.push(...Array.from({ length: 100 }, () => runOf('prj_other', 'ws_other')));
    while (projects.filter((project) => project === 'prj_other').length < 48) await once(upstream.server, 'received');
    const begun = projects.length;
    while (projects.length < 503) {
      held.shift()?.end(OK);
      await connectionFree();
    }
    for (const response of held) response.end(OK);
    await Promise.all(running);
    expect(projects.slice(begun, begun + 60).filter((project) => project === 'prj_other').length).toBeGreaterThanOrEqual(30);
  });

  it('of a workspace with many projects keeps no other workspace waiting', async () => {
    const held: ServerResponse[] = [];
    const upstream = await startRawUpstream((response, _request, { received }) => {
      if ((received.at(-1)?.body ?? '').includes('ws_quick')) response.end(OK);
      else held.push(response);
    });
    const runOf = (projectId: string, workspaceId: string, timeoutMs: number) => {
      const call = callOf();
      return run(upstream.url, timeoutMs, { ...call, context: { ...call.context, projectId, workspaceId } });
    };
    const running = Array.from({ length: 400 }, (_, index) => runOf(`prj_${index}`, 'ws_slow', 60_000));
    while (held.length < MAX_CALLS_PER_UPSTREAM_TOGETHER) await once(upstream.server, 'received');
    for (let time = 0; time < 3; time++) expect(await runOf('prj_quick', 'ws_quick', 5_000)).toMatchObject({ kind: 'ok' });
    expect(held.length).toBe(MAX_CALLS_PER_UPSTREAM_TOGETHER);
    for (let answered = 0; answered < running.length; ) {
      answered += held.length;
      for (const response of held.splice(0)) response.end(OK);
      await connectionFree();
    }
    expect(new Set((await Promise.all(running)).map(({ kind }) => kind))).toEqual(new Set(['ok']));
  });
});
