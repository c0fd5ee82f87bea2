import { Socket } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import { z } from 'zod';
import { DuplicateNames, TooManyParts, readJson } from '../lib/json-text';

/** The largest answer that is read from an upstream, in bytes. */
export const MAX_ANSWER_BYTES = 10 * 1024 * 1024;
/** Calls at one upstream URL at once; the rest wait, project by project in turns, on their own time. */
export const MAX_CALLS_PER_UPSTREAM = 256;
/** Connections to one origin: more than one upstream's share, so that a slow one leaves room for its neighbours on the same host. */
export const MAX_CONNECTIONS_PER_ORIGIN = 1024;

/** A project takes at most so many times the places that are free: alone three quarters of all. */
const HELD_PER_FREE = 3;
/** The most calls of one project at one upstream URL at once, which follows from these two. */
export const MAX_CALLS_PER_UPSTREAM_EACH = 192;

const CONNECT_TIMEOUT_MS = 10_000;
const MAX_ERRORS = 100;
const MAX_MESSAGE_LENGTH = 1000;
/** What is read of an answer that does not count, so that its connection can be used again. */
const MAX_DISCARDED_BYTES = 128 * 1024;

/** One attempt at one action, as the action gets to see it. */
export interface ActionCall {
  /** The log row's id: new with every attempt, where `requestId` stays the same. */
  attempt: string;
  action: string;
  requestId: string;
  /**
   * The JSON text of an object, as its caller wrote it: numbers have every digit. A built-in action that parses it must refuse
   * inexact ones.
   */
  paramsJson: string;
  debug: boolean;
  /** `keyId` is null where another credential than a key called. */
  context: { workspaceId: string; projectId: string; credentialId: string; keyId: string | null; environment: string; galleryId: string };
}

/** One reason why an action said no. Its `code` is `[A-Z][A-Z0-9_]{0,63}`, its `message` at most 1,000 characters long. */
export interface ActionError {
  code: string;
  message: string;
}

/**
 * How an attempt ended. `dataJson` is the JSON text of an object; `errors` has at least one, and `httpStatus` is 200 if it is absent;
 * `cause` is for the log and never for the caller.
 */
export type ActionOutcome =
  | { kind: 'ok'; dataJson: string }
  | { kind: 'no'; errors: ActionError[]; httpStatus?: number }
  | { kind: 'broke'; code: 'UPSTREAM_FAILED' | 'UPSTREAM_TIMEOUT'; cause: string };

/** What is to be run, and how long it may take in all, in milliseconds. Without an `upstreamUrl` it is a built-in action. */
export interface ActionTarget {
  service: string;
  name: string;
  upstreamUrl: string | null;
  timeoutMs: number;
  /** The HTTP statuses of refusals that reach the caller. */
  passStatuses: readonly number[];
}

export interface Runner {
  /** The outcome of one attempt, `timeoutMs` after this call at the latest. Never rejects: whatever goes wrong is an outcome. */
  run(target: ActionTarget, call: ActionCall): Promise<ActionOutcome>;
  /** Breaks off what still runs and lets go of all that would keep the process alive. */
  close(): Promise<void>;
}

export interface HttpRunnerOptions {
  /** Each is `whsec_` and base64; every one of them signs every call. */
  signingSecrets: readonly string[];
  now?: () => Date;
}

/**
 * Runs actions at their upstreams: a POST signed as Standard Webhooks says, over connections that are kept alive.
 * A call is sent at most once: nothing is retried and no redirect is followed, for the action may have run already.
 */
export class HttpRunner implements Runner {
  private readonly webhooks: readonly Webhook[];
  private readonly now: () => Date;
  private readonly running = new Set<AbortController>();
  private readonly upstreams = new Lanes(MAX_CALLS_PER_UPSTREAM);
  private readonly origins = new Lanes(MAX_CONNECTIONS_PER_ORIGIN);
  private readonly connecting = new Set<unknown>();
  private readonly connector = buildConnector({ timeout: CONNECT_TIMEOUT_MS });
  private readonly agent = new Agent({
    connections: MAX_CONNECTIONS_PER_ORIGIN,
    connect: (options, callback) => this.connect(options, callback),
    pipelining: 1, // a call must neither wait behind another's answer nor fail with it
    headersTimeout: 0, // each call has its own time for everything, see run()
    bodyTimeout: 0,
    maxResponseSize: MAX_ANSWER_BYTES,
  });

  /** Throws where there is no signing secret, or one that is not base64: an unsigned call would be worthless to an upstream. */
  constructor({ signingSecrets, now = () => new Date() }: HttpRunnerOptions) {
    if (signingSecrets.length === 0) throw new Error('There must be a secret to sign the calls to upstreams with.');
    this.webhooks = signingSecrets.map((secret) => new Webhook(secret));
    this.now = now;
  }

  /**
   * The outcome of one attempt, `timeoutMs` after this call at the latest: waiting for a connection, connecting and the
   * last byte of the answer count, however slowly they come. Never rejects.
   */
  async run(target: ActionTarget, call: ActionCall): Promise<ActionOutcome> {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      abort.abort(new BrokenOff('UPSTREAM_TIMEOUT', `There was no full answer within ${target.timeoutMs} ms.`));
    }, target.timeoutMs);
    this.running.add(abort);
    try {
      // undici notices an abort only once it has a connection, so the deadline is not left to it.
      return await Promise.race([rejectOnAbort(abort.signal), this.exchange(target, call, abort.signal)]);
    } catch (error) {
      const { code, message } = error instanceof BrokenOff ? error : new BrokenOff('UPSTREAM_FAILED', describe(error));
      return { kind: 'broke', code, cause: message };
    } finally {
      clearTimeout(timer);
      this.running.delete(abort);
    }
  }

  /** Breaks off what still runs, as UPSTREAM_FAILED, and closes every connection. Calls after that are UPSTREAM_FAILED. */
  async close(): Promise<void> {
    for (const abort of this.running) abort.abort(new BrokenOff('UPSTREAM_FAILED', 'The server is shutting down.'));
    const destroyed = this.agent.destroy();
    for (const socket of this.connecting) if (socket instanceof Socket) socket.destroy(new Error('The server is shutting down.'));
    await destroyed;
  }

  /** undici forgets a socket that is still connecting when it is destroyed, and that would hold the process up: so they are known here. */
  private connect(options: buildConnector.Options, callback: buildConnector.Callback): void {
    const socket: unknown = this.connector(options, (...result) => {
      this.connecting.delete(socket);
      callback(...result);
    });
    this.connecting.add(socket);
  }

  private async exchange(target: ActionTarget, call: ActionCall, signal: AbortSignal): Promise<ActionOutcome> {
    if (target.upstreamUrl === null) throw new BrokenOff('UPSTREAM_FAILED', `The action ${target.name} has no upstream.`);
    const url = new URL(target.upstreamUrl);
    const body = bodyOf(call);
    // A place is given back when undici is done with the call, not when its time is over: till then it holds a connection.
    const { projectId } = call.context;
    return this.upstreams.run(url.href, projectId, signal, () =>
      this.origins.run(url.origin, projectId, signal, () => this.post(target, { url, headers: this.headers(call.attempt, body), body, signal })),
    );
  }

  /** Signed only when it is sent, so that a call that had to wait is not stale to the upstream. */
  private headers(attempt: string, body: string): Record<string, string> {
    const now = this.now();
    return {
      'content-type': 'application/json',
      accept: 'application/json',
      'accept-encoding': 'identity', // a few compressed bytes could unpack to far more than MAX_ANSWER_BYTES
      'user-agent': 'tollgate',
      'webhook-id': attempt,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': this.webhooks.map((webhook) => webhook.sign(attempt, now, body)).join(' '),
    };
  }

  private async post({ passStatuses }: ActionTarget, { url, headers, body, signal }: Post): Promise<ActionOutcome> {
    const path = url.pathname + url.search;
    const answer = await this.agent.request({ origin: url.origin, path, method: 'POST', headers, body, signal });
    const objection = objectionTo(answer);
    if (objection !== undefined) {
      await answer.body.dump({ limit: MAX_DISCARDED_BYTES, signal });
      throw new BrokenOff('UPSTREAM_FAILED', objection);
    }
    const outcome = readAnswer(await answer.body.bytes());
    if (answer.statusCode >= 400 && outcome.kind === 'ok') {
      throw new BrokenOff('UPSTREAM_FAILED', `It answered ${answer.statusCode} and ok at once.`);
    }
    return outcome.kind === 'no' && passStatuses.includes(answer.statusCode) ? { ...outcome, httpStatus: answer.statusCode } : outcome;
  }
}

interface Post {
  url: URL;
  headers: Record<string, string>;
  body: string;
  signal: AbortSignal;
}

/** An attempt that brought no answer from the action; the message is for the log. */
class BrokenOff extends Error {
  override name = 'BrokenOff';

  constructor(
    readonly code: 'UPSTREAM_FAILED' | 'UPSTREAM_TIMEOUT',
    message: string,
  ) {
    super(message);
  }
}

interface Lane {
  /** Places that are taken, by project. */
  taken: Map<string, number>;
  free: number;
  /** Calls that wait, by project: the project that is served next comes first. */
  waiting: Map<string, Set<() => void>>;
}

/**
 * Work sorted by key: at most `size` at once for each key, and one key never waits for another. A project holds at most HELD_PER_FREE times as
 * many places as are free, so that there is always one for a project that holds none. Projects that wait are served in turns.
 */
class Lanes {
  private readonly lanes = new Map<string, Lane>();

  constructor(private readonly size: number) {}

  /** What `work` returns; rejects with the signal's reason, and leaves the queue, where that comes before its turn. */
  async run<T>(key: string, projectId: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.enter(key, projectId, signal);
    try {
      return await work();
    } finally {
      this.leave(key, projectId);
    }
  }

  private enter(key: string, projectId: string, signal: AbortSignal): Promise<void> {
    const lane: Lane = this.lanes.get(key) ?? { taken: new Map(), free: this.size, waiting: new Map() };
    this.lanes.set(key, lane);
    if (!lane.waiting.has(projectId) && mayTake(lane, projectId)) {
      take(lane, projectId);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const goAhead = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        const own = lane.waiting.get(projectId);
        if (own?.delete(goAhead) && own.size === 0) lane.waiting.delete(projectId);
        reject(signal.reason);
      };
      const own = lane.waiting.get(projectId) ?? new Set<() => void>();
      lane.waiting.set(projectId, own.add(goAhead));
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  private leave(key: string, projectId: string): void {
    const lane = this.lanes.get(key);
    const held = lane?.taken.get(projectId);
    if (!lane || !held) throw new Error(`The project ${projectId} has no place in the lane ${key}.`);
    if (held === 1) lane.taken.delete(projectId);
    else lane.taken.set(projectId, held - 1);
    lane.free += 1;
    for (const [next, waiting] of [...lane.waiting]) if (mayTake(lane, next)) serve(lane, next, waiting);
    if (lane.free === this.size) this.lanes.delete(key);
  }
}

const mayTake = ({ taken, free }: Lane, projectId: string): boolean => (taken.get(projectId) ?? 0) < HELD_PER_FREE * free;

function take(lane: Lane, projectId: string): void {
  lane.taken.set(projectId, (lane.taken.get(projectId) ?? 0) + 1);
  lane.free -= 1;
}

/** Lets one call of a project go ahead, and puts the project last. */
function serve(lane: Lane, projectId: string, waiting: Set<() => void>): void {
  const [goAhead] = waiting;
  lane.waiting.delete(projectId);
  if (!goAhead) return;
  waiting.delete(goAhead);
  if (waiting.size > 0) lane.waiting.set(projectId, waiting);
  take(lane, projectId);
  goAhead();
}

const answerForm = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    // Not z.record, which makes a copy and leaves out a key named __proto__: the caller gets what the action said.
    data: z.custom<Record<string, unknown>>((value) => typeof value === 'object' && value !== null && !Array.isArray(value), 'must be an object'),
  }),
  z.object({ ok: z.literal(false), errors: z.array(z.object({ code: z.string(), message: z.string() })).min(1) }),
]);

/** What an answer's body says, or a BrokenOff where it is not JSON or has another form than an action's answer. */
function readAnswer(bytes: Uint8Array): ActionOutcome {
  const { value, memberJson } = parseAnswer(bytes);
  const answer = answerForm.safeParse(value);
  if (!answer.success) {
    const issue = answer.error.issues[0];
    throw new BrokenOff('UPSTREAM_FAILED', `Its answer has another form: ${issue?.path.join('.')} ${issue?.message}`);
  }
  if (!answer.data.ok) return { kind: 'no', errors: answer.data.errors.slice(0, MAX_ERRORS).map(presentable) };
  return { kind: 'ok', dataJson: memberJson as string }; // an object, so there is its text
}

/** What an upstream is sent. */
function bodyOf({ action, requestId, paramsJson, debug, context }: ActionCall): string {
  const [head, tail] = [JSON.stringify({ action, requestId }), JSON.stringify({ debug, context })];
  return `${head.slice(0, -1)},"params":${paramsJson},${tail.slice(1)}`;
}

function parseAnswer(bytes: Uint8Array): ReturnType<typeof readJson> {
  try {
    return readJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes), 'data');
  } catch (error) {
    if (error instanceof DuplicateNames) throw new BrokenOff('UPSTREAM_FAILED', 'Its answer has an object with two members of one name.');
    if (error instanceof TooManyParts) throw new BrokenOff('UPSTREAM_FAILED', `Its answer ${error.message}.`);
    // The parser's own message quotes the answer, which does not belong in a log.
    throw new BrokenOff('UPSTREAM_FAILED', 'Its answer is not JSON.');
  }
}

/** Why an answer cannot count, judged before its body is read; undefined where it may. */
function objectionTo({ statusCode, headers }: Dispatcher.ResponseData): string | undefined {
  const mayCount = (statusCode >= 200 && statusCode < 300) || (statusCode >= 400 && statusCode < 500);
  if (!mayCount) return `It answered ${statusCode}.`;
  const encoding = String(headers['content-encoding'] ?? '').trim();
  return encoding === '' || encoding.toLowerCase() === 'identity' ? undefined : 'Its answer has a content encoding, which was not asked for.';
}

/** An upstream's error as a caller may see it. */
function presentable({ code, message }: ActionError): ActionError {
  return {
    code: /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? code : 'ACTION_FAILED',
    message: cut(message).replace(/\p{Cs}/gu, '\uFFFD'), // half a surrogate pair is no text that a database or another parser takes
  };
}

/** The first MAX_MESSAGE_LENGTH UTF-16 units, one less where that would cut a surrogate pair in two. */
function cut(text: string): string {
  if (text.length <= MAX_MESSAGE_LENGTH) return text;
  const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(MAX_MESSAGE_LENGTH - 1));
  return text.slice(0, splitsPair ? MAX_MESSAGE_LENGTH - 1 : MAX_MESSAGE_LENGTH);
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

/** A failure in one line. Where several addresses of a host were tried, the message is empty and the code says it all. */
function describe(error: unknown): string {
  const { name, code, message } = (error ?? {}) as { name?: unknown; code?: unknown; message?: unknown };
  return cut([name, code, message].filter((part) => typeof part === 'string' && part !== '').join(' '));
}
