import { Webhook } from 'standardwebhooks';
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { DuplicateNames, TooManyParts, readJson } from '../lib/json-text';
import { Lanes } from '../lib/lanes';
import { UpstreamConnections } from '../lib/upstream-connections';
import { usageFrom, type Usage } from './unit-prices';

/** The largest answer that is read from an upstream, in bytes. */
export const MAX_ANSWER_BYTES = 10 * 1024 * 1024;
/** The most calls at one upstream URL at once. Others wait, and projects take turns. Waiting counts against the call's time limit. */
export const MAX_CALLS_PER_UPSTREAM = 256;
/** The most connections to one origin. More than MAX_CALLS_PER_UPSTREAM, so a slow upstream leaves room for others on its host. */
export const MAX_CONNECTIONS_PER_ORIGIN = 1024;

/** The most calls of one project at one upstream URL at once. Follows from MAX_CALLS_PER_UPSTREAM and HELD_PER_FREE. */
export const MAX_CALLS_PER_UPSTREAM_EACH = 192;
/** The most calls of one workspace at one upstream URL at once. Follows from MAX_CALLS_PER_UPSTREAM and HELD_PER_FREE_TOGETHER. */
export const MAX_CALLS_PER_UPSTREAM_TOGETHER = 224;

const MAX_ERRORS = 100;
const MAX_MESSAGE_LENGTH = 1000;
/** The most bytes read from an answer that is discarded. Reading it to its end lets the connection be used again. */
const MAX_DISCARDED_BYTES = 128 * 1024;

/** One attempt at one action, as the action sees it. */
export interface ActionCall {
  /** The id of the log row. It is new for each attempt, but `requestId` stays the same. */
  attempt: string;
  action: string;
  requestId: string;
  /**
   * The JSON text of an object, exactly as the caller wrote it, with all digits of numbers. A built-in action that parses it must
   * refuse numbers that JavaScript cannot represent exactly.
   */
  paramsJson: string;
  debug: boolean;
  context: {
    workspaceId: string;
    projectId: string;
    credentialId: string;
    /** Null if the credential is not a key. */
    keyId: string | null;
    environment: string;
    galleryId: string;
  };
}

/** A reason why an action refused a call. Its `code` matches `[A-Z][A-Z0-9_]{0,63}`, and its `message` has at most 1,000 characters. */
export interface ActionError {
  code: string;
  message: string;
}

/**
 * The end of an attempt. `ok`: it succeeded, `dataJson` is the JSON text of an object, and `usage` is what the action reports to have used.
 * `no`: the action refused; `errors` has at least one item, and an absent `httpStatus` means 200. `broke`: there was no valid answer;
 * `cause` is for the log and never for the caller.
 */
export type ActionOutcome =
  | { kind: 'ok'; dataJson: string; usage?: Usage }
  | { kind: 'no'; errors: ActionError[]; httpStatus?: number }
  | { kind: 'broke'; code: 'UPSTREAM_FAILED' | 'UPSTREAM_TIMEOUT'; cause: string };

/** The action to run. `timeoutMs` limits the whole attempt. An action without an `upstreamUrl` is built in. */
export interface ActionTarget {
  service: string;
  name: string;
  upstreamUrl: string | null;
  timeoutMs: number;
  /** HTTP statuses that reach the caller if the upstream refuses with them. */
  passStatuses: readonly number[];
}

export interface Runner {
  /** Whether it knows a way to run an action: an upstream, or a built-in action of this name. */
  canRun(target: Pick<ActionTarget, 'service' | 'name' | 'upstreamUrl'>): boolean;
  /** Runs one attempt. Resolves after `timeoutMs` at the latest. Never rejects: every failure is an outcome. */
  run(target: ActionTarget, call: ActionCall): Promise<ActionOutcome>;
  /** Breaks off running attempts and closes everything that would keep the process alive. */
  close(): Promise<void>;
}

export interface HttpRunnerOptions {
  /** Secrets in the form `whsec_` + base64. Each call is signed with all of them. */
  signingSecrets: readonly string[];
  now?: () => Date;
}

/**
 * Runs actions at their upstreams: a POST with the signature of Standard Webhooks, over connections that are kept alive.
 * Sends a call at most once, without retries or redirects, because the action may have run already.
 */
export class HttpRunner implements Runner {
  private readonly webhooks: readonly Webhook[];
  private readonly now: () => Date;
  private readonly running = new Set<AbortController>();
  private readonly upstreams = new Lanes(MAX_CALLS_PER_UPSTREAM);
  private readonly origins = new Lanes(MAX_CONNECTIONS_PER_ORIGIN);
  private readonly connections = new UpstreamConnections({
    connections: MAX_CONNECTIONS_PER_ORIGIN,
    maxResponseSize: MAX_ANSWER_BYTES,
  });

  /** Throws if there is no signing secret or one is not base64, because an upstream must not trust an unsigned call. */
  constructor({ signingSecrets, now = () => new Date() }: HttpRunnerOptions) {
    if (signingSecrets.length === 0) throw new Error('There is no secret to sign calls to upstreams. Give at least one.');
    this.webhooks = signingSecrets.map((secret) => new Webhook(secret));
    this.now = now;
  }

  canRun({ upstreamUrl }: Pick<ActionTarget, 'upstreamUrl'>): boolean {
    return upstreamUrl !== null;
  }

  /**
   * Runs one attempt. Resolves after `timeoutMs` at the latest; this time includes waiting for a place, connecting, and reading the
   * answer to its last byte. Never rejects.
   */
  async run(target: ActionTarget, call: ActionCall): Promise<ActionOutcome> {
    const abort = new AbortController();
    const timer = setTimeout(() => {
      abort.abort(new BrokenOff('UPSTREAM_TIMEOUT', `There was no full answer within ${target.timeoutMs} ms.`));
    }, target.timeoutMs);
    this.running.add(abort);
    try {
      // undici notices an abort only once it has a connection, so the deadline is enforced here
      return await Promise.race([rejectOnAbort(abort.signal), this.exchange(target, call, abort.signal)]);
    } catch (error) {
      const { code, message } = error instanceof BrokenOff ? error : new BrokenOff('UPSTREAM_FAILED', describe(error));
      return { kind: 'broke', code, cause: message };
    } finally {
      clearTimeout(timer);
      this.running.delete(abort);
    }
  }

  /** Breaks off running attempts and closes all connections. The outcome of these and of all later attempts is UPSTREAM_FAILED. */
  async close(): Promise<void> {
    for (const abort of this.running) abort.abort(new BrokenOff('UPSTREAM_FAILED', 'The server is shutting down.'));
    await this.connections.close();
  }

  private async exchange(target: ActionTarget, call: ActionCall, signal: AbortSignal): Promise<ActionOutcome> {
    if (target.upstreamUrl === null) throw new BrokenOff('UPSTREAM_FAILED', `The action ${target.name} has no upstream.`);
    const url = new URL(target.upstreamUrl);
    const body = bodyOf(call);
    // Gives the place back when undici has finished the call, not at its time limit, because the call uses a connection until then
    const { context } = call;
    const post = () => this.post(target, { url, headers: this.headers(call.attempt, body), body, signal });
    return this.upstreams.run(url.href, context, signal, () => this.origins.run(url.origin, context, signal, post));
  }

  /** Signs a call just before it is sent, so that its timestamp is fresh even if the call had to wait. */
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
    const answer = await this.connections.agent.request({ origin: url.origin, path, method: 'POST', headers, body, signal });
    const objection = objectionTo(answer);
    if (objection !== undefined) {
      await answer.body.dump({ limit: MAX_DISCARDED_BYTES, signal });
      throw new BrokenOff('UPSTREAM_FAILED', objection);
    }
    const outcome = readAnswer(await answer.body.bytes());
    if (answer.statusCode >= 400 && outcome.kind === 'ok') {
      throw new BrokenOff('UPSTREAM_FAILED', `It answered \`ok: true\` with the failure status ${answer.statusCode}.`);
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

/** An attempt without a valid answer from the action. The message is for the log. */
class BrokenOff extends Error {
  override name = 'BrokenOff';

  constructor(
    readonly code: 'UPSTREAM_FAILED' | 'UPSTREAM_TIMEOUT',
    message: string,
  ) {
    super(message);
  }
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

const answerForm = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    // Not z.record, which copies the object and drops a key named __proto__
    data: z.custom<Record<string, unknown>>(isObject, 'must be an object'),
    usage: z.unknown().optional(),
  }),
  z.object({ ok: z.literal(false), errors: z.array(z.object({ code: z.string(), message: z.string() })).min(1) }),
]);

/** Reads the body of an answer. Throws BrokenOff if it is not JSON or does not have the form of an action's answer. */
function readAnswer(bytes: Uint8Array): ActionOutcome {
  const { value, memberJson } = parseAnswer(bytes);
  const answer = answerForm.safeParse(value);
  if (!answer.success) {
    const issue = answer.error.issues[0];
    throw new BrokenOff('UPSTREAM_FAILED', `Its answer does not have the required form: ${issue?.path.join('.')} ${issue?.message}`);
  }
  if (!answer.data.ok) return { kind: 'no', errors: answer.data.errors.slice(0, MAX_ERRORS).map(presentable) };
  const usage = usageFrom(answer.data.usage);
  return { kind: 'ok', dataJson: memberJson as string, ...(usage && { usage }) }; // `data` is present, so it has a text
}

/** The body for the upstream. `params` is inserted as text, so that its numbers keep all digits. */
function bodyOf({ action, requestId, paramsJson, debug, context }: ActionCall): string {
  const [head, tail] = [JSON.stringify({ action, requestId }), JSON.stringify({ debug, context })];
  return `${head.slice(0, -1)},"params":${paramsJson},${tail.slice(1)}`;
}

function parseAnswer(bytes: Uint8Array): ReturnType<typeof readJson> {
  try {
    return readJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes), 'data');
  } catch (error) {
    if (error instanceof DuplicateNames) throw new BrokenOff('UPSTREAM_FAILED', 'Its answer has a duplicate name in an object.');
    if (error instanceof TooManyParts) throw new BrokenOff('UPSTREAM_FAILED', `Its answer ${error.message}.`);
    // The parser's message is not used, because it quotes the answer, which must not be logged
    throw new BrokenOff('UPSTREAM_FAILED', 'Its answer is not JSON.');
  }
}

/** The reason to discard an answer because of its status or headers, or undefined if its body is to be read. */
function objectionTo({ statusCode, headers }: Dispatcher.ResponseData): string | undefined {
  const mayCount = (statusCode >= 200 && statusCode < 300) || (statusCode >= 400 && statusCode < 500);
  if (!mayCount) return `It answered ${statusCode}.`;
  const encoding = String(headers['content-encoding'] ?? '').trim();
  if (encoding === '' || encoding.toLowerCase() === 'identity') return undefined;
  return 'Its answer has a content encoding although the request accepts none.';
}

/** Makes an upstream's error safe for the caller: replaces an invalid code and shortens the message. */
function presentable({ code, message }: ActionError): ActionError {
  return {
    code: /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? code : 'ACTION_FAILED',
    message: cut(message).replace(/\p{Cs}/gu, '\uFFFD'), // databases and other parsers refuse half a surrogate pair
  };
}

/** Cuts a text to MAX_MESSAGE_LENGTH UTF-16 units, or to one unit less if the cut would split a surrogate pair. */
function cut(text: string): string {
  if (text.length <= MAX_MESSAGE_LENGTH) return text;
  const splitsPair = /[\uD800-\uDBFF]/.test(text.charAt(MAX_MESSAGE_LENGTH - 1));
  return text.slice(0, splitsPair ? MAX_MESSAGE_LENGTH - 1 : MAX_MESSAGE_LENGTH);
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}

/** Describes a failure in one line. The message is empty if several addresses of a host were tried; then the code tells the reason. */
function describe(error: unknown): string {
  const { name, code, message } = (error ?? {}) as { name?: unknown; code?: unknown; message?: unknown };
  return cut([name, code, message].filter((part) => typeof part === 'string' && part !== '').join(' '));
}
