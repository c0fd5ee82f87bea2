import { setTimeout as wait } from 'node:timers/promises';
import type { RouteCall } from './evidence-ways';
import type { Random } from './random';
import { pickSecret, ROUTES, type Shared } from './ways';
import type { SecretState } from './world';

const REPEAT_TRIES = 30;

/** A client that calls the API through its routes. */
export class RouteCallers {
  constructor(
    private readonly shared: Shared,
    private readonly random: Random,
  ) {}

  async act(node: number): Promise<void> {
    const { random } = this;
    const secret = pickSecret(this.shared, random);
    const action = random.pick(ROUTES);
    if (action !== 'replayable') return void (await this.send(node, secret, action, null));
    const requestId = random.uuid();
    if (random.chance(0.3)) await Promise.all([0, 1].map((other) => this.send(node + other, secret, action, requestId)));
    for (let tries = 0; tries < REPEAT_TRIES && !this.shared.stopped(); tries += 1) {
      const { status, isApis } = await this.send(node + tries, secret, action, requestId);
      if (isApis && status >= 200 && status < 300) {
        if (random.chance(0.5)) await this.send(node + 1, secret, action, requestId);
        return;
      }
      if (status !== 0 && status !== 409 && status < 500) return;
      await wait(random.between(50, 400));
    }
  }

  private async send(node: number, secret: SecretState, action: string, requestId: string | null): Promise<RouteCall> {
    const { shared } = this;
    const id = shared.nextId();
    const told = await shared.send(node, {
      path: `/ways/${action}`,
      headers: {
        'content-type': 'application/json',
        'x-api-key': secret.secret,
        'user-agent': `way/${id}`,
        ...(requestId && { 'idempotency-key': requestId }),
      },
      body: '{"ask":"something"}',
    });
    const isApis = told.text.includes('"mark":');
    const call: RouteCall = {
      id,
      keyId: secret.keyId,
      action,
      environment: secret.environment,
      isPoor: secret === shared.secrets.poor,
      requestId,
      status: told.status,
      isApis,
      replay: told.headers['idempotency-replayed'] === 'true',
      code: told.status === 0 || isApis ? null : ((JSON.parse(told.text) as { error?: { code: string } }).error?.code ?? null),
      text: told.text,
      answeredRequestId: (told.headers['x-request-id'] as string | undefined) ?? null,
    };
    shared.evidence.routeCalls.push(call);
    return call;
  }
}
