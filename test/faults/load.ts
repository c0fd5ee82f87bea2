import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { Pool } from 'undici';
import type { CallRecord } from './evidence';
import type { Random } from './random';
import type { ActionState, SecretState, World } from './world';

/** A call that a client wants to make. It may be sent several times. */
export interface Intent {
  secret: SecretState;
  action: ActionState;
  requestId?: string;
  /** Makes the params different from the params of another intent with the same requestId. */
  variant?: string;
}

interface AnswerBody {
  ok: boolean;
  requestId?: string;
  data?: unknown;
  billing?: { chargedMicroCredits: number; budgetAvailableMicroCredits: number };
  error?: { code: string };
  errors?: { code: string }[];
  meta?: { idempotencyReplay?: boolean };
}

const ANSWER_TIMEOUT_MS = 120_000;
/** Pause after a call to a server that is not reachable. */
const REFUSED_PAUSE_MS = 150;
const REPEAT_TRIES = 40;
const REMEMBERED = 500;

/** Sends calls and records each of them. */
export class Callers {
  readonly calls: CallRecord[] = [];
  private readonly pools: Pool[];
  private sent = 0;

  constructor(urls: readonly string[], connections: number) {
    const options = { connections, pipelining: 1, headersTimeout: ANSWER_TIMEOUT_MS, bodyTimeout: ANSWER_TIMEOUT_MS };
    this.pools = urls.map((url) => new Pool(url, options));
  }

  /** Sends an intent once to one server. With `hangUpMs`, the caller hangs up after that time. */
  async call(node: number, { secret, action, requestId, variant }: Intent, hangUpMs?: number): Promise<CallRecord> {
    const id = (this.sent += 1);
    const pool = this.pools[node % this.pools.length] as Pool;
    const body = JSON.stringify({
      action: action.name,
      ...(requestId && { requestId }),
      params: { variant: variant ?? requestId ?? id, text: 'x'.repeat(40) },
    });
    const record: CallRecord = {
      id,
      node: node % this.pools.length,
      secretId: secret.id,
      keyId: secret.keyId,
      projectId: secret.project.id,
      action: action.name,
      requestId: requestId ?? null,
      sentAt: Date.now(),
      endedAt: Infinity,
      status: 0,
      code: null,
      ok: false,
      replay: false,
      answeredRequestId: null,
      charged: null,
      digest: null,
    };
    this.calls.push(record);
    try {
      const answer = await pool.request({
        path: `/v1/${action.service}/execute`,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-api-key': secret.secret, 'user-agent': `call/${id}` },
        body,
        ...(hangUpMs === undefined ? {} : { signal: AbortSignal.timeout(hangUpMs) }),
      });
      note(record, answer.statusCode, await answer.body.text());
    } catch {
      record.status = 0;
    }
    record.endedAt = Date.now();
    return record;
  }

  async close(): Promise<void> {
    await Promise.all(this.pools.map((pool) => pool.destroy()));
  }
}

function note(record: CallRecord, status: number, text: string): void {
  const body = JSON.parse(text) as AnswerBody;
  record.ok = status === 200 && body.ok === true;
  record.code = body.error?.code ?? body.errors?.[0]?.code ?? null;
  record.replay = body.meta?.idempotencyReplay === true;
  record.answeredRequestId = body.requestId ?? null;
  record.charged = body.billing?.chargedMicroCredits ?? null;
  if (record.ok && record.requestId !== null) record.digest = digestOf(text);
  record.status = status;
}

/** Returns the digest of an answer without a replay's additions. */
export function digestOf(text: string): string {
  const plain = text.replace(/,"meta":\{"idempotencyReplay":true\}\}$/, '}');
  return createHash('sha256').update(plain).digest('base64url').slice(0, 22);
}

export interface LoadOptions {
  callers: Callers;
  world: World;
  random: Random;
  nodes: number;
  clients: number;
  /** Mean time between two calls of one client. */
  thinkMs: number;
  stopped(): boolean;
}

/** Runs all clients until `stopped` returns true. */
export async function runLoad(options: LoadOptions): Promise<void> {
  const { clients, random } = options;
  const old: Intent[] = [];
  await Promise.all(
    Array.from({ length: clients }, async (_, number) => {
      const own = random.fork(`client ${number}`);
      const client = new Client(options, own, number % options.nodes, old);
      // One client in ten calls faster than a rate limit, one in twenty spends a small budget.
      const mode = number % 10 === 1 ? (number % 20 === 1 ? 'tight' : 'changing') : number % 20 === 2 ? 'scarce' : 'mixed';
      while (!options.stopped()) {
        await client.act(mode);
        await wait(own.between(0, 2 * options.thinkMs));
      }
    }),
  );
}

class Client {
  constructor(
    private readonly options: LoadOptions,
    private readonly random: Random,
    private readonly node: number,
    private readonly old: Intent[],
  ) {}

  async act(mode: 'mixed' | 'tight' | 'changing' | 'scarce'): Promise<void> {
    const { world } = this.options;
    if (mode !== 'mixed') {
      const [secret] = world.liveSecrets(mode);
      if (secret) await this.send({ secret, action: world.actions[mode === 'scarce' ? this.random.whole(0, 2) : 0] as ActionState });
      return;
    }
    if (world.liveSecrets('steady').length === 0) return;
    const draw = this.random.next();
    if (draw < 0.5) await this.send(this.intent());
    else if (draw < 0.68) await this.untilDone({ ...this.intent(), requestId: this.random.uuid() });
    else if (draw < 0.76) await this.twins();
    else if (draw < 0.8) await this.others();
    else if (draw < 0.86) await this.again();
    else if (draw < 0.93) await this.ended();
    else await this.hangUp();
  }

  private intent(): Intent {
    const { world } = this.options;
    const secrets = this.random.chance(0.08) ? world.liveSecrets('doomed') : [];
    return { secret: this.random.pick(secrets.length > 0 ? secrets : world.liveSecrets('steady')), action: this.action() };
  }

  private action(): ActionState {
    const { actions } = this.options.world;
    return this.random.chance(0.5) ? (actions[0] as ActionState) : this.random.pick(actions);
  }

  private async send(intent: Intent, node = this.node): Promise<CallRecord> {
    const record = await this.options.callers.call(node, intent);
    if (record.status === 0) await wait(REFUSED_PAUSE_MS);
    return record;
  }

  /** Repeats a requestId at one server after the other until the answer is final, as a careful caller does. */
  private async untilDone(intent: Intent): Promise<void> {
    for (let tries = 0; tries < REPEAT_TRIES && !this.options.stopped(); tries += 1) {
      const { status, ok, code } = await this.send(intent, this.node + tries);
      if (ok) this.remember(intent);
      const mayPass = status === 0 || status >= 500 || code === 'REQUEST_IN_PROGRESS';
      if (!mayPass) return;
      await wait(this.random.between(50, 400));
    }
  }

  /** Sends the same call to two servers at the same time. */
  private async twins(): Promise<void> {
    const intent = { ...this.intent(), requestId: this.random.uuid(), variant: 'twin' };
    await Promise.all([this.send(intent), this.send(intent, this.node + 1), this.send(intent, this.node + 1)]);
    if (this.random.chance(0.5)) await this.untilDone(intent);
  }

  /** Sends the same requestId with two different bodies to two servers at the same time. */
  private async others(): Promise<void> {
    const intent = { ...this.intent(), requestId: this.random.uuid(), variant: 'one' };
    await Promise.all([this.send(intent), this.send({ ...intent, variant: 'other' }, this.node + 1)]);
  }

  /** Repeats a call that succeeded before. */
  private async again(): Promise<void> {
    const intent = this.old.length > 0 ? this.random.pick(this.old) : this.intent();
    await this.send(intent, this.node + this.random.whole(0, 1));
  }

  /** Calls with an ended secret, preferably with a recent one. */
  private async ended(): Promise<void> {
    const { world } = this.options;
    const recent = world.refusedSpans.slice(-6);
    if (recent.length === 0) return void (await this.send(this.intent()));
    const secret = world.secrets[this.random.pick(recent).secretId] as SecretState;
    await this.send({ secret, action: this.action() }, this.node + this.random.whole(0, 1));
  }

  private async hangUp(): Promise<void> {
    const intent: Intent = { ...this.intent(), ...(this.random.chance(0.5) && { requestId: this.random.uuid() }), variant: 'hang up' };
    await this.options.callers.call(this.node, intent, this.random.whole(1, 250));
    if (intent.requestId && this.random.chance(0.7)) await this.untilDone(intent);
  }

  private remember(intent: Intent): void {
    if (this.old.length < REMEMBERED) this.old.push(intent);
    else this.old[this.random.whole(0, REMEMBERED - 1)] = intent;
  }
}
