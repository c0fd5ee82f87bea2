import { setTimeout as wait } from 'node:timers/promises';
import { ARCHIVE_PROJECT, REFUND, REVOKE_KEY, ROTATE_KEY, UPDATE_KEY, UPDATE_PROJECT, type AdminClient } from './admin-client';
import type { CallRecord, LimitSpan } from './evidence';
import type { Random } from './random';
import { TIGHT_LIMIT, type SecretState, type World } from './world';

export interface AdminsOptions {
  admin: AdminClient;
  world: World;
  random: Random;
  nodes: number;
  calls: readonly CallRecord[];
  /** Mean time between two acts of one administrator. */
  paceMs: number;
  administrators: number;
  stopped(): boolean;
}

/** Rounding error of a grace or an expiry, which is compared with a clock in milliseconds. */
const ROUNDING_MS = 3;
const BUSY = new Set<string>();

/** Runs administrators at all servers. They end, suspend and change what callers use, until `stopped` returns true. */
export async function runAdmins(options: AdminsOptions): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  await Promise.all(
    Array.from({ length: options.administrators }, async (_, number) => {
      const random = options.random.fork(`administrator ${number}`);
      const administrator = new Administrator(options, random);
      while (!options.stopped()) {
        await wait(random.between(0, 2 * options.paceMs));
        const act = await administrator.act();
        counts[act] = (counts[act] ?? 0) + 1;
      }
    }),
  );
  return counts;
}

type Act =
  | 'revoke'
  | 'rotate'
  | 'rotate with grace'
  | 'disable'
  | 'expire'
  | 'archive'
  | 'change limit'
  | 'allocate'
  | 'take back'
  | 'refund'
  | 'top up';

const ACTS: readonly Act[] = [
  'revoke',
  'rotate',
  'rotate',
  'rotate with grace',
  'disable',
  'disable',
  'expire',
  'archive',
  'change limit',
  'allocate',
  'take back',
  'refund',
  'refund',
  'top up',
];

class Administrator {
  constructor(
    private readonly options: AdminsOptions,
    private readonly random: Random,
  ) {}

  async act(): Promise<Act> {
    const act = this.random.pick(ACTS);
    const { world } = this.options;
    switch (act) {
      case 'revoke':
      case 'rotate':
      case 'rotate with grace':
      case 'disable':
      case 'expire':
        await this.withKey((secret) => this.end(act, secret));
        break;
      case 'archive':
        await this.archive();
        break;
      case 'change limit':
        await this.alone('limit', () => this.changeLimit());
        break;
      case 'allocate':
      case 'take back': {
        const amount = this.random.whole(1, 40) * 500;
        const project = this.random.pick(world.projects.filter(({ role }) => role === 'scarce' || role === 'steady'));
        await world.allocate(this.node(), project, act === 'allocate' ? amount : -amount);
        break;
      }
      case 'refund':
        await this.refund();
        break;
      case 'top up':
        await world.topUp(this.node(), this.random.pick(world.workspaces), this.random.whole(1, 1_000));
        break;
    }
    return act;
  }

  private node(): number {
    return this.random.whole(0, this.options.nodes - 1);
  }

  /** Gives one administrator exclusive use of a key, so that the last acknowledged change is known. */
  private async withKey(work: (secret: SecretState) => Promise<void>): Promise<void> {
    const free = this.options.world.liveSecrets('steady').filter(({ keyId }) => !BUSY.has(keyId));
    if (free.length === 0) return;
    const secret = this.random.pick(free);
    await this.alone(secret.keyId, () => work(secret));
  }

  private async alone(name: string, work: () => Promise<void>): Promise<void> {
    if (BUSY.has(name)) return;
    BUSY.add(name);
    try {
      await work();
    } finally {
      BUSY.delete(name);
    }
  }

  private async end(act: 'revoke' | 'rotate' | 'rotate with grace' | 'disable' | 'expire', secret: SecretState): Promise<void> {
    switch (act) {
      case 'revoke':
        return this.revoke(secret);
      case 'rotate':
        return this.rotate(secret, 0);
      case 'rotate with grace':
        return this.rotate(secret, this.random.whole(1, 2));
      case 'disable':
        return this.disable(secret);
      case 'expire':
        return this.expire(secret);
    }
  }

  /** Mints a replacement first, so that callers always have a key. */
  private async revoke(secret: SecretState): Promise<void> {
    const { admin, world } = this.options;
    await world.mint(this.node(), secret.project, secret.environment);
    const secrets = this.secretsOf(secret.keyId);
    for (const revoked of secrets) world.doubt(revoked, Date.now());
    const answer = await admin.insist(this.node(), REVOKE_KEY, { id: secret.keyId, reason: 'The run ends it.' });
    if (answer.kind === 'data') this.refused(secrets, 'revoked', answer.at);
  }

  /** Rotates a key. If the answer is lost, the new secret is lost too, although the old one has ended: then the key is rotated again. */
  private async rotate(secret: SecretState, graceSeconds: number): Promise<void> {
    const { admin, world } = this.options;
    const before = this.secretsOf(secret.keyId);
    for (let tries = 0; tries < 100 && !this.options.stopped(); tries += 1) {
      const sentAt = Date.now();
      // A second rotation ends a secret that the first one left in grace.
      for (const old of before) world.doubt(old, old === secret && tries === 0 ? sentAt + graceSeconds * 1000 - ROUNDING_MS : sentAt);
      const answer = await admin.send<{ rotateKey: { secret: string } }>(this.node(), ROTATE_KEY, { id: secret.keyId, graceSeconds });
      if (answer.kind === 'refused') return;
      if (answer.kind === 'data') {
        world.addSecret(answer.data.rotateKey.secret, secret.keyId, secret.project, secret.environment);
        this.refused(
          before.filter((old) => old !== secret),
          'rotated twice',
          answer.at,
        );
        this.refused(
          [secret],
          graceSeconds === 0 ? 'rotated' : 'past its grace',
          answer.at + graceSeconds * 1000 + (graceSeconds && ROUNDING_MS),
        );
        return;
      }
      await wait(200);
    }
  }

  private async disable(secret: SecretState): Promise<void> {
    const { admin, world } = this.options;
    const secrets = this.secretsOf(secret.keyId);
    const wereLive = secrets.filter(({ live }) => live);
    for (const disabledSecret of secrets) world.doubt(disabledSecret, Date.now());
    const disabled = await admin.insist(this.node(), UPDATE_KEY, { id: secret.keyId, enabled: false });
    const spans = disabled.kind === 'data' ? this.refused(secrets, 'disabled', disabled.at) : [];
    await wait(this.random.between(200, 1_500));
    for (const span of spans) span.to = Date.now();
    const enabled = await admin.insist(this.node(), UPDATE_KEY, { id: secret.keyId, enabled: true });
    if (enabled.kind === 'data') for (const enabledSecret of wereLive) enabledSecret.live = true;
  }

  private async expire(secret: SecretState): Promise<void> {
    const { admin, world } = this.options;
    await world.mint(this.node(), secret.project, secret.environment);
    const secrets = this.secretsOf(secret.keyId);
    const expiresAt = Date.now() + this.random.whole(0, 2_000);
    for (const expiring of secrets) world.doubt(expiring, expiresAt - ROUNDING_MS);
    const answer = await admin.insist(this.node(), UPDATE_KEY, { id: secret.keyId, expiresAt: new Date(expiresAt).toISOString() });
    if (answer.kind === 'data') this.refused(secrets, 'expired', Math.max(answer.at, expiresAt + ROUNDING_MS));
  }

  /** Makes a project, lets callers use it for a while, then archives it and takes half of its budget back. */
  private async archive(): Promise<void> {
    const { admin, world, random } = this.options;
    let secrets: SecretState[] = [];
    try {
      const project = await world.buildProject('doomed', random.pick(world.workspaces), 5_000_000);
      await world.mint(this.node(), project, 'LIVE');
      await world.mint(this.node(), project, 'LIVE');
      await wait(this.random.between(500, 4_000));
      secrets = world.secrets.filter((secret) => secret.project === project);
      for (const archived of secrets) world.doubt(archived, Date.now());
      const answer = await admin.insist<{ archiveProject: { project: { budget: { balance: number } } } }>(this.node(), ARCHIVE_PROJECT, {
        id: project.id,
      });
      if (answer.kind !== 'data') return;
      this.refused(secrets, 'archived', answer.at);
      const { balance } = answer.data.archiveProject.project.budget;
      await world.allocate(this.node(), project, -Math.floor(balance / 2)); // calls in flight may hold a part
    } catch {
      // The run is over, or the servers were away too long. The acknowledged steps are already noted.
      for (const secret of secrets) secret.live = false;
    }
  }

  private async changeLimit(): Promise<void> {
    const { admin, world } = this.options;
    const project = world.projects.find(({ role }) => role === 'changing');
    const span = world.limits.findLast(({ projectId }) => projectId === project?.id);
    if (!project || !span) return;
    const rateLimit = this.random.pick([
      TIGHT_LIMIT,
      { sustainedRps: 5, burst: 2 },
      { sustainedRps: 40, burst: 30 },
      { sustainedRps: 0.5, burst: 20 },
    ]);
    span.to = Date.now();
    const change: LimitSpan = {
      projectId: project.id,
      from: span.to,
      to: Infinity,
      rps: Math.max(span.rps, rateLimit.sustainedRps),
      burst: span.burst + rateLimit.burst, // both bursts may be used, one after the other
    };
    world.limits.push(change);
    const answer = await admin.insist(this.node(), UPDATE_PROJECT, { id: project.id, rateLimit });
    if (answer.kind !== 'data') return;
    change.to = answer.at;
    world.limits.push({ projectId: project.id, from: answer.at, to: Infinity, rps: rateLimit.sustainedRps, burst: rateLimit.burst });
  }

  /** Refunds a billed call once. Finds its request log by the requestId. */
  private async refund(): Promise<void> {
    const { admin, world, calls } = this.options;
    const billed = calls.slice(-400).filter((call) => call.ok && !call.replay && (call.charged ?? 0) > 0);
    if (billed.length === 0) return;
    const call = this.random.pick(billed);
    const logs = 'requestLogs(filter: { requestId: $input, outcome: [SUCCEEDED] }) { nodes { id } }';
    const query = `query ($input: ID!) { project(id: "${call.projectId}") { ${logs} } }`;
    const found = await admin.insist<{ project: { requestLogs: { nodes: { id: string }[] } } }>(
      this.node(),
      query,
      call.answeredRequestId as unknown as object,
    );
    const id = found.kind === 'data' ? found.data.project.requestLogs.nodes[0]?.id : undefined;
    if (!id || world.moves.some(({ reference }) => reference === id)) return;
    await world.move({ kind: 'REFUND', reference: id, amount: call.charged as number }, async () => {
      const answer = await admin.insist(this.node(), REFUND, { requestLogId: id, reason: 'The run gives it back.' });
      // Only this administrator refunds the call, so a conflict means that an earlier try succeeded and its answer was lost.
      return answer.kind === 'refused' && answer.code === 'CONFLICT' ? { kind: 'data', data: undefined, at: Date.now() } : answer;
    });
  }

  private secretsOf(keyId: string): SecretState[] {
    return this.options.world.secrets.filter((secret) => secret.keyId === keyId);
  }

  private refused(secrets: SecretState[], why: string, from: number) {
    const spans = secrets.map(({ id: secretId }) => ({ secretId, why, from, to: Infinity }));
    this.options.world.refusedSpans.push(...spans);
    return spans;
  }
}
