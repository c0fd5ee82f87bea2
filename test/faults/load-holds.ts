import { setTimeout as wait } from 'node:timers/promises';
import type { End, Question } from './evidence-ways';
import type { Random } from './random';
import { pickSecret, WAYS_SERVICE, type Shared } from './ways';

const REPEAT_TRIES = 30;

interface VerifyBody {
  valid?: boolean;
  code?: string;
  billing?: { chargedMicroCredits: number } | null;
  hold?: { id: string; expiresAt: string } | null;
  outcome?: string;
  error?: { code: string };
}

/** An asker: verifies keys, which bills them at once or opens holds, and ends its holds. */
export class HoldUsers {
  constructor(
    private readonly shared: Shared,
    private readonly random: Random,
  ) {}

  async act(node: number): Promise<void> {
    const { random, shared } = this;
    const secret = pickSecret(shared, random);
    const mode = random.chance(0.5) ? 'charge' : 'hold';
    const tokens = mode === 'charge' && random.chance(0.8) ? random.whole(0, 50) : null;
    const isPoor = secret === shared.secrets.poor;
    const question: Question = { id: shared.nextId(), mode, isPoor, environment: secret.environment, tokens, answers: [] };
    shared.evidence.questions.push(question);
    const body = JSON.stringify({
      key: secret.secret,
      service: WAYS_SERVICE,
      action: 'verified',
      mode,
      userAgent: `way/${question.id}`,
      ...(tokens !== null && { usage: { tokens } }),
      ...(mode === 'hold' && { holdSeconds: random.whole(2, 15) }),
      ...(random.chance(0.7) && { requestId: random.uuid() }),
    });
    const holdId = await this.insist(node, question, body);
    if (holdId !== null) await this.use(node, question, holdId);
  }

  /** Asks until the answer is clear, if the question has a requestId. Otherwise once. */
  private async insist(node: number, question: Question, body: string): Promise<string | null> {
    const { random, shared } = this;
    const canRepeat = body.includes('"requestId"');
    if (canRepeat && random.chance(0.3)) await Promise.all([0, 1].map((other) => this.ask(node + other, question, body)));
    for (let tries = 0; tries < REPEAT_TRIES; tries += 1) {
      const { status, valid, holdId } = await this.ask(node + tries, question, body);
      if (valid && canRepeat && random.chance(0.3)) await this.ask(node + 1, question, body);
      if (valid || !canRepeat || (status !== 0 && status < 500) || shared.stopped()) return holdId;
      await wait(random.between(50, 400));
    }
    return null;
  }

  private async ask(node: number, question: Question, body: string): Promise<Question['answers'][number]> {
    const { status, text, json } = await this.post(node, '/v1/keys/verify', body);
    const { valid = false, code, error, billing, hold } = json;
    const charged = billing?.chargedMicroCredits ?? null;
    const answer = { status, valid, code: error?.code ?? code ?? null, text, charged, holdId: hold?.id ?? null };
    question.answers.push(answer);
    return answer;
  }

  /** Extends a hold sometimes, and then settles or voids it, or leaves it to expire. */
  private async use(node: number, { isPoor, environment }: Question, holdId: string): Promise<void> {
    const { random } = this;
    const request = { holdId, isPoor, environment, tokens: null, amount: null } as const;
    if (random.chance(0.15)) return;
    if (random.chance(0.2)) await this.end(node, { ...request, what: 'extend' }, { seconds: random.whole(2, 20) });
    await wait(random.chance(0.1) ? random.between(0, 16_000) : random.between(0, 1_000));
    const tokens = random.whole(0, 60);
    const amount = random.whole(0, 700);
    const [what, values, body] = random.pick([
      ['settle', { tokens }, { usage: { tokens } }],
      ['settle', { tokens }, { usage: { tokens } }],
      ['settle', { amount }, { amountMicroCredits: amount }],
      ['settle', {}, {}],
      ['void', {}, { errorCode: 'MODEL_DOWN' }],
    ] as const);
    const other = random.chance(0.2) && this.end(node + 1, { ...request, what: 'void' }, {});
    for (let tries = 0; tries < REPEAT_TRIES; tries += 1) {
      const { status } = await this.end(node + tries, { ...request, ...values, what }, body);
      if (status !== 0 && status < 500) break;
      await wait(random.between(50, 400));
    }
    await other;
  }

  private async end(
    node: number,
    request: Omit<End, 'status' | 'code' | 'charged' | 'outcome' | 'expiresAt'>,
    body: object,
  ): Promise<End> {
    const end: End = { ...request, status: 0, code: null, charged: null, outcome: null, expiresAt: null };
    this.shared.evidence.ends.push(end);
    const { status, json } = await this.post(node, `/v1/holds/${request.holdId}/${request.what}`, JSON.stringify(body));
    const expiresAt = json.hold ? Date.parse(json.hold.expiresAt) : null;
    const { outcome = null, error, billing } = json;
    return Object.assign(end, { status, code: error?.code ?? null, charged: billing?.chargedMicroCredits ?? null, outcome, expiresAt });
  }

  private async post(node: number, path: string, body: string): Promise<{ status: number; text: string; json: VerifyBody }> {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${this.shared.asker}` };
    const { status, text } = await this.shared.send(node, { path, headers, body });
    return { status, text, json: status === 0 ? {} : (JSON.parse(text) as VerifyBody) };
  }
}
