import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { Webhook } from 'standardwebhooks';
import { BUILT_IN_ACTIONS } from '../src/actions/built-in';
import { MAX_ANSWER_BYTES, MAX_CALLS_PER_UPSTREAM } from '../src/actions/http-runner';
import { ActionRunner, type ActionCall, type ActionOutcome } from '../src/actions/runner';

const SECRETS = [`whsec_${Buffer.alloc(24, 1).toString('base64')}`, `whsec_${Buffer.alloc(64, 2).toString('base64')}`];
const OK = '{"ok":true,"data":{"face":1}}';
const NO = '{"ok":false,"errors":[{"code":"NO_FACE_DETECTED","message":"There is no face."}]}';

interface Received {
  method: string | undefined;
  url: string | undefined;
  headers: IncomingHttpHeaders;
  body: string;
}

interface Upstream {
  url: string;
  server: Server;
  received: Received[];
  connections: number;
}

type Answer = (response: ServerResponse, request: IncomingMessage, upstream: Upstream) => void;

const cleanups: (() => Promise<unknown>)[] = [];
let runner: ActionRunner;

beforeEach(() => {
  runner = new ActionRunner({ signingSecrets: SECRETS });
});

afterEach(async () => {
  await runner.close();
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A real HTTP server on a free port that keeps what it receives and answers each whole request by `answer`. */
async function startUpstream(answer: Answer): Promise<Upstream> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      upstream.received.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      server.emit('received');
      answer(response, request, upstream);
    });
  });
  const upstream: Upstream = { url: '', server, received: [], connections: 0 };
  server.on('connection', () => upstream.connections++);
  upstream.url = `http://127.0.0.1:${await listen(server)}/actions?of=faces`;
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return upstream;
}

/** A TCP server on a free port, for what no HTTP server would do. */
async function startRaw(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return listen(server);
}

async function listen(server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const json = (status: number, body: string): Answer => (response) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(body);
};

function callOf(params: Record<string, unknown> = { image: 'ä🙂' }): ActionCall {
  return {
    attempt: 'log_0VKq3Zb1M8fD2sYt6Hc0Qw',
    action: 'biofrq.detect',
    requestId: '7b0c6a6e-6f0e-7c51-8d3f-0f8f3f4f5a6b',
    params,
    debug: true,
    context: { workspaceId: 'ws_1', projectId: 'prj_1', credentialId: 'key_1', keyId: 'key_1', environment: 'LIVE', galleryId: 'default' },
  };
}

function run(upstreamUrl: string, timeoutMs = 10_000, call = callOf()): Promise<ActionOutcome> {
  return runner.run({ service: 'face', name: call.action, upstreamUrl, timeoutMs }, call);
}

async function runAgainst(answer: Answer, timeoutMs?: number): Promise<ActionOutcome> {
  return run((await startUpstream(answer)).url, timeoutMs);
}

const failed = { kind: 'broke', code: 'UPSTREAM_FAILED', cause: expect.any(String) as string };
const timedOut = { kind: 'broke', code: 'UPSTREAM_TIMEOUT', cause: expect.any(String) as string };

/** undici lends a connection again one turn of the event loop after its answer; a call before that would open another. */
const connectionFree = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** An answer of exactly `bytes` bytes. */
function answerOf(bytes: number): string {
  const [head, tail] = ['{"ok":true,"data":{"text":"', '"}}'];
  return head + 'a'.repeat(bytes - head.length - tail.length) + tail;
}

function nested(depth: number): Record<string, unknown> {
  return JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`) as Record<string, unknown>;
}

describe('built-in actions', () => {
  const builtIn = (name: string, params?: Record<string, unknown>): Promise<ActionOutcome> =>
    runner.run({ service: 'demo', name, upstreamUrl: null, timeoutMs: 30_000 }, callOf(params));

  it('are demo.echo and demo.fail, at 1000 micro-credits each, with the permission of their own name', () => {
    expect(BUILT_IN_ACTIONS.map(({ id, service, name, priceMicroCredits, permission, timeoutMs }) => ({ id, service, name, priceMicroCredits, permission, timeoutMs }))).toEqual([
      { id: 'act_demo_echo', service: 'demo', name: 'demo.echo', priceMicroCredits: 1000, permission: 'demo.echo', timeoutMs: 30_000 },
      { id: 'act_demo_fail', service: 'demo', name: 'demo.fail', priceMicroCredits: 1000, permission: 'demo.fail', timeoutMs: 30_000 },
    ]);
  });

  it('demo.echo answers its params as data', async () => {
    expect(await builtIn('demo.echo', { a: [1, { b: null }] })).toEqual({ kind: 'ok', dataJson: '{"a":[1,{"b":null}]}' });
  });

  it('demo.echo says no to params that are nested too deep to write', async () => {
    expect(await builtIn('demo.echo', nested(100_000))).toEqual({
      kind: 'no',
      errors: [{ code: 'INVALID_PARAMS', message: expect.any(String) as string }],
    });
  });

  it('demo.fail says no with DEMO_FAILURE', async () => {
    expect(await builtIn('demo.fail')).toEqual({ kind: 'no', errors: [{ code: 'DEMO_FAILURE', message: expect.any(String) as string }] });
  });

  it('that this version does not have are UPSTREAM_FAILED', async () => {
    expect(await builtIn('demo.gone')).toEqual(failed);
  });
});

describe('what an upstream receives', () => {
  it('is a POST of the call as JSON, to the very URL, with nothing left out and nothing added', async () => {
    const upstream = await startUpstream(json(200, OK));
    await run(upstream.url);
    const { attempt: _attempt, ...body } = callOf();
    expect(upstream.received).toHaveLength(1);
    expect(upstream.received[0]).toMatchObject({
      method: 'POST',
      url: '/actions?of=faces',
      headers: { 'content-type': 'application/json', 'accept-encoding': 'identity' },
      body: JSON.stringify(body),
    });
  });

  it('carries a signature that each of the secrets verifies by itself, and no other secret', async () => {
    const upstream = await startUpstream(json(200, OK));
    await run(upstream.url);
    const { headers, body } = upstream.received[0] as Received;
    for (const secret of SECRETS) expect(() => new Webhook(secret).verify(body, headers as Record<string, string>)).not.toThrow();
    const stranger = new Webhook(`whsec_${Buffer.alloc(24, 3).toString('base64')}`);
    expect(() => stranger.verify(body, headers as Record<string, string>)).toThrow('No matching signature');
    expect(headers['webhook-signature']).toMatch(/^v1,\S+ v1,\S+$/);
  });

  it('names the attempt as webhook-id and the time in whole seconds as webhook-timestamp', async () => {
    const upstream = await startUpstream(json(200, OK));
    const dated = new ActionRunner({ signingSecrets: SECRETS, now: () => new Date('2026-01-02T03:04:05.999Z') });
    cleanups.push(() => dated.close());
    await dated.run({ service: 'face', name: 'biofrq.detect', upstreamUrl: upstream.url, timeoutMs: 10_000 }, callOf());
    expect(upstream.received[0]?.headers).toMatchObject({
      'webhook-id': 'log_0VKq3Zb1M8fD2sYt6Hc0Qw',
      'webhook-timestamp': String(Date.parse('2026-01-02T03:04:05Z') / 1000),
    });
  });

  it('is never sent unsigned: a runner without a secret cannot be made', () => {
    expect(() => new ActionRunner({ signingSecrets: [] })).toThrow('secret');
  });

  it('is nothing at all where the params are nested too deep to write', async () => {
    const upstream = await startUpstream(json(200, OK));
    expect(await run(upstream.url, 10_000, callOf(nested(100_000)))).toMatchObject({ kind: 'no', errors: [{ code: 'INVALID_PARAMS' }] });
    expect(upstream.received).toHaveLength(0);
  });
});

describe('an answer', () => {
  it('of 2xx that says ok brings its data', async () => {
    expect(await runAgainst(json(201, OK))).toEqual({ kind: 'ok', dataJson: '{"face":1}' });
  });

  it('brings a key named __proto__ as it came', async () => {
    expect(await runAgainst(json(200, '{"ok":true,"data":{"__proto__":{"a":1}}}'))).toEqual({ kind: 'ok', dataJson: '{"__proto__":{"a":1}}' });
  });

  it.each([200, 400, 404, 429])('of %i that says no is the action saying no', async (status) => {
    expect(await runAgainst(json(status, NO))).toEqual({ kind: 'no', errors: [{ code: 'NO_FACE_DETECTED', message: 'There is no face.' }] });
  });

  it.each([
    ['4xx of another form', 401, '{"error":"unauthorized"}'],
    ['4xx that says ok', 404, OK],
    ['4xx that is not JSON', 404, '<h1>Not found</h1>'],
    ['5xx, even where it says no', 500, NO],
    ['5xx, even where it says ok', 503, OK],
    ['3xx, even where it says ok', 300, OK],
    ['304', 304, ''],
    ['2xx without a body', 204, ''],
    ['2xx that is not JSON', 200, 'ok'],
    ['JSON that is cut off', 200, OK.slice(0, -1)],
    ['JSON that is no object', 200, '[]'],
    ['JSON of another form', 200, '{"data":{}}'],
    ['ok that is no boolean', 200, '{"ok":"true","data":{}}'],
    ['ok without data', 200, '{"ok":true}'],
    ['ok with data that are null', 200, '{"ok":true,"data":null}'],
    ['ok with data that are a list', 200, '{"ok":true,"data":[]}'],
    ['ok with data nested too deep to write', 200, `{"ok":true,"data":${JSON.stringify({ a: 0 }).replace('0', '['.repeat(100_000) + ']'.repeat(100_000))}}`],
    ['a no without errors', 200, '{"ok":false}'],
    ['a no with an empty list of errors', 200, '{"ok":false,"errors":[]}'],
    ['a no with an error that lacks its message', 200, '{"ok":false,"errors":[{"code":"A"}]}'],
  ])('of %s is UPSTREAM_FAILED', async (_what, status, body) => {
    expect(await runAgainst(json(status, body))).toEqual(failed);
  });

  it('that is not UTF-8 is UPSTREAM_FAILED', async () => {
    const body = Buffer.concat([Buffer.from('{"ok":true,"data":{"a":"'), Buffer.from([0xff]), Buffer.from('"}}')]);
    expect(await runAgainst((response) => response.end(body))).toEqual(failed);
  });

  it('in an encoding that was not asked for is UPSTREAM_FAILED', async () => {
    expect(await runAgainst((response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(OK))).toEqual(failed);
  });

  it('that redirects is UPSTREAM_FAILED, and nobody follows it', async () => {
    const elsewhere = await startUpstream(json(200, OK));
    for (const status of [301, 302, 303, 307, 308]) {
      expect(await runAgainst((response) => response.writeHead(status, { location: elsewhere.url }).end(OK))).toEqual(failed);
    }
    expect(elsewhere.received).toHaveLength(0);
  });

  it('does not put its own text into the log', async () => {
    expect(JSON.stringify(await runAgainst(json(200, 'a secret of somebody')))).not.toContain('secret');
  });

  it('of exactly 10 MiB is taken', async () => {
    const outcome = await runAgainst(json(200, answerOf(MAX_ANSWER_BYTES)));
    expect(MAX_ANSWER_BYTES).toBe(10_485_760);
    expect(outcome.kind === 'ok' && outcome.dataJson.length).toBe(MAX_ANSWER_BYTES - '{"ok":true,"data":}'.length);
  });

  it('of one byte more than 10 MiB is UPSTREAM_FAILED', async () => {
    expect(await runAgainst(json(200, answerOf(MAX_ANSWER_BYTES + 1)))).toEqual(failed);
  });

  it('without an end is not downloaded for long', async () => {
    const chunk = Buffer.alloc(1024 * 1024, ' ');
    let closed: Promise<unknown> | undefined;
    const endless: Answer = (response) => {
      closed = once(response, 'close');
      const pour = (): void => {
        while (!response.destroyed && response.write(chunk)); // until the other side has had enough
      };
      response.on('drain', pour);
      pour();
    };
    expect(await runAgainst(endless)).toEqual(failed);
    await closed;
  });
});

describe("an upstream's errors", () => {
  const errorsOf = async (errors: { code: string; message: string }[]): Promise<{ code: string; message: string }[]> => {
    const outcome = await runAgainst(json(200, JSON.stringify({ ok: false, errors })));
    if (outcome.kind !== 'no') throw new Error(`It was ${outcome.kind}.`);
    return outcome.errors;
  };

  it('keep a code of the agreed form; any other becomes ACTION_FAILED', async () => {
    const codes = ['A', 'NO_FACE_2', 'A'.repeat(64), 'A'.repeat(65), '', 'no_face', '2FACES', '_A', 'NO-FACE', 'A\n'];
    const errors = await errorsOf(codes.map((code) => ({ code, message: 'm' })));
    expect(errors.map((error) => error.code)).toEqual([...codes.slice(0, 3), ...codes.slice(3).map(() => 'ACTION_FAILED')]);
  });

  it('keep a message of 1,000 characters and lose what is beyond', async () => {
    const errors = await errorsOf([{ code: 'A', message: 'm'.repeat(1000) }, { code: 'A', message: 'm'.repeat(1001) }]);
    expect(errors.map((error) => error.message)).toEqual(['m'.repeat(1000), 'm'.repeat(1000)]);
  });

  it('never end in half a character', async () => {
    const [fits, split] = await errorsOf([
      { code: 'A', message: `${'m'.repeat(998)}🙂🙂` },
      { code: 'A', message: `${'m'.repeat(999)}🙂` },
    ]);
    expect(fits?.message).toBe(`${'m'.repeat(998)}🙂`);
    expect(split?.message).toBe('m'.repeat(999));
  });

  it('hold no half surrogate pair, even where the upstream sent one', async () => {
    expect(await errorsOf([{ code: 'A', message: 'a\ud83d🙂\ude42' }])).toEqual([{ code: 'A', message: 'a\ufffd🙂\ufffd' }]);
  });

  it('are at most 100', async () => {
    const errors = await errorsOf(Array.from({ length: 150 }, (_, index) => ({ code: `E${index}`, message: '' })));
    expect(errors.map((error) => error.code)).toEqual(Array.from({ length: 100 }, (_, index) => `E${index}`));
  });
});

describe('a connection', () => {
  it('is used again by the calls that follow, after an ok, a no and a failure alike', async () => {
    const answers = [json(200, OK), json(404, NO), json(503, 'busy'), json(200, 'no JSON'), json(200, OK)];
    const upstream = await startUpstream((response, request, { received }) => answers[received.length - 1]?.(response, request, upstream));
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

  it('that is refused is UPSTREAM_FAILED', async () => {
    const server = net.createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await run(`http://127.0.0.1:${port}/`)).toEqual({ ...failed, cause: expect.stringContaining('ECONNREFUSED') as string });
  });

  it.each(['not a URL', 'ftp://127.0.0.1/', 'http://'])('to %s is UPSTREAM_FAILED', async (url) => {
    expect(await run(url)).toEqual(failed);
  });

  it('that the upstream closes over a request in it fails the call, which is not sent again: it may have run', async () => {
    const upstream = await startUpstream((response, request, { received }) => {
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

  it('that the upstream closed while it was idle costs the next call nothing', async () => {
    const upstream = await startUpstream(json(200, OK));
    const closed = once(upstream.server, 'connection').then(([socket]) => once(socket as Socket, 'close'));
    await run(upstream.url);
    upstream.server.closeIdleConnections();
    await closed;
    expect(await run(upstream.url)).toMatchObject({ kind: 'ok' });
    expect(upstream.connections).toBe(2);
  });

  it('does not outlive close(), nor does a call', async () => {
    const upstream = await startUpstream((response, request, { received }) => {
      if (received.length === 1) json(200, OK)(response, request, upstream);
    });
    const sockets: Socket[] = [];
    upstream.server.on('connection', (socket) => sockets.push(socket));
    await run(upstream.url);
    const received = once(upstream.server, 'received');
    const hanging = run(upstream.url);
    await received;
    const gone = sockets.map((socket) => once(socket, 'close'));
    await runner.close();
    expect(await hanging).toEqual(failed);
    await Promise.all(gone);
    expect(await run(upstream.url)).toEqual(failed);
  });

  it('that is still being made does not outlive close() either', async () => {
    let closed: Promise<unknown> | undefined;
    const port = await startRaw((socket) => {
      closed = once(socket.resume(), 'close');
    });
    expect(await run(`https://127.0.0.1:${port}/`, 200)).toMatchObject({ code: 'UPSTREAM_TIMEOUT' });
    await runner.close();
    await closed;
  }, 5_000); // undici would give up after ten seconds
});

describe('the time of a call', () => {
  /** The outcome, and how long it took in milliseconds. */
  const timed = async (outcome: Promise<ActionOutcome>): Promise<[ActionOutcome, number]> => {
    const start = performance.now();
    return [await outcome, performance.now() - start];
  };
  // Far above any time-out here and far below undici's own, so that a slow machine passes and a wrong clock does not.
  const SOON_MS = 5_000;

  it('ends at timeoutMs where the upstream never answers, and the upstream is told', async () => {
    const upstream = await startUpstream(() => undefined);
    const closed = once(upstream.server, 'connection').then(([socket]) => once(socket as Socket, 'close'));
    const [outcome, tookMs] = await timed(run(upstream.url, 200));
    expect(outcome).toEqual(timedOut);
    expect(tookMs).toBeGreaterThanOrEqual(199);
    expect(tookMs).toBeLessThan(SOON_MS);
    await closed;
  });

  it.each([200, 500])('ends at timeoutMs however steadily the body of a %i trickles', async (status) => {
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

  it('ends at timeoutMs however steadily the headers trickle', async () => {
    const port = await startRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx-slow: ');
      const drip = setInterval(() => socket.write('z'), 10);
      socket.on('close', () => clearInterval(drip));
    });
    const [outcome, tookMs] = await timed(run(`http://127.0.0.1:${port}/`, 200));
    expect(outcome).toEqual(timedOut);
    expect(tookMs).toBeLessThan(SOON_MS);
  });

  it('ends at timeoutMs where the connection itself is never made', async () => {
    const port = await startRaw(() => undefined); // takes the TCP connection and never says a word of TLS
    const [outcome, tookMs] = await timed(run(`https://127.0.0.1:${port}/`, 200));
    expect(outcome).toEqual(timedOut);
    expect(tookMs).toBeLessThan(SOON_MS);
  });

  it('counts while it waits for a connection; other upstreams, on the same host too, do not wait', async () => {
    const held: ServerResponse[] = [];
    const upstream = await startUpstream((response, request) => {
      if (request.url === '/slow') held.push(response);
      else json(200, OK)(response, request, upstream);
    });
    const other = await startUpstream(json(200, OK));
    const slowUrl = new URL('/slow', upstream.url).href;

    const running = Array.from({ length: MAX_CALLS_PER_UPSTREAM }, () => run(slowUrl, 60_000));
    while (held.length < MAX_CALLS_PER_UPSTREAM) await once(upstream.server, 'received');
    expect(await run(slowUrl, 200)).toEqual(timedOut);
    expect(await run(upstream.url)).toMatchObject({ kind: 'ok' });
    expect(await run(other.url)).toMatchObject({ kind: 'ok' });

    // The next in the queue is who still waits, not who gave up.
    const patient = run(slowUrl, 60_000);
    held.shift()?.end(OK);
    while (held.length < MAX_CALLS_PER_UPSTREAM) await once(upstream.server, 'received');
    for (const response of held) response.end(OK);
    const outcomes = await Promise.all([...running, patient]);
    expect(new Set(outcomes.map((outcome) => outcome.kind))).toEqual(new Set(['ok']));
    expect(upstream.received.filter(({ url }) => url === '/slow')).toHaveLength(MAX_CALLS_PER_UPSTREAM + 1);
  });
});
