import { setTimeout as wait } from 'node:timers/promises';
import type { Disturbance, Outage } from './evidence';
import type { Random } from './random';
import type { Cut } from './proxy';
import { CUTS } from './proxy';

export type Kind =
  | 'server killed'
  | 'server stopped'
  | 'database killed'
  | 'database frozen'
  | 'commit cut'
  | 'link delayed'
  | 'link frozen'
  | 'link cut'
  | 'file locked'
  | 'disk full';

/** How often each kind of disturbance happens. */
export type Counts = Partial<Record<Kind, number>>;

interface Step {
  kind: Kind;
  afterMs: number;
  node: number;
  /** How long the disturbance lasts; for a kill, the time until the restart. */
  lastsMs: number;
  cut: Cut;
}

/** The disturbances that a site offers. A missing method is never needed there. */
export interface Victims {
  nodes: number;
  killServer(node: number, downMs: number): Promise<number>;
  stopServer?(node: number, lastsMs: number): Promise<void>;
  killDatabase?(downMs: number): Promise<Outage>;
  freezeDatabase?(lastsMs: number): Promise<void>;
  cutCommit?(node: number, cut: Cut, lateMs: number): Promise<void>;
  delayLink?(node: number, delayMs: number, lastsMs: number): Promise<void>;
  freezeLink?(node: number, lastsMs: number): Promise<void>;
  cutLink?(node: number): Promise<void>;
  lockFile?(lastsMs: number): Promise<void>;
  fillDisk?(lastsMs: number): Promise<void>;
}

const LASTS_MS: Record<Kind, [number, number]> = {
  'server killed': [0, 1_000],
  'server stopped': [34_000, 36_000], // beyond a hold's expiry
  'database killed': [0, 2_500],
  'database frozen': [1_000, 6_000],
  'commit cut': [100, 7_000], // shorter and longer than the 5 s after which a tick gives up
  'link delayed': [1_500, 5_000],
  'link frozen': [500, 6_000],
  'link cut': [0, 0],
  'file locked': [100, 1_000],
  'disk full': [300, 2_000],
};

/** Minimum pause before a victim is disturbed again, so that it has calls to disturb. */
const REST_MS = 500;
const MOST_REST_MS = 5_000;

/** Draws the plan of a run: the kind, time, victim and duration of each disturbance. */
export function planOf(counts: Counts, random: Random, nodes: number, meanGapMs: number): Step[] {
  const kinds = Object.entries(counts).flatMap(([kind, count]) => Array.from({ length: count }, () => kind as Kind));
  return random.shuffle(kinds).map((kind) => ({
    kind,
    afterMs: random.between(0, 2 * meanGapMs),
    node: random.whole(0, nodes - 1),
    lastsMs: random.between(...LASTS_MS[kind]),
    cut: random.pick(CUTS),
  }));
}

/** Carries out a plan. Disturbances may overlap, unless they need the same victim. */
export class Chaos {
  readonly disturbances: Disturbance[] = [];
  readonly outages: Outage[] = [];
  readonly done: Partial<Record<Kind, number>> = {};
  private readonly busy = new Set<string>();
  private failure: Error | undefined;

  constructor(
    private readonly victims: Victims,
    private readonly stopped: () => boolean,
    /** Resolves once a server (for null: every server) has answered 200 after `since`, or has taken too long. */
    private readonly healed: (node: number | null, since: number) => Promise<void>,
  ) {}

  async run(plan: Step[]): Promise<void> {
    const running: Promise<void>[] = [];
    for (const step of plan) {
      await wait(step.afterMs);
      const victim = await this.freeVictim(step);
      if (victim === undefined || this.stopped() || this.failure) break;
      this.busy.add(victim);
      running.push(
        this.suffer(step)
          .catch((error: unknown) => {
            this.failure ??= error instanceof Error ? error : new Error(String(error));
          })
          .finally(() => this.busy.delete(victim)),
      );
    }
    await Promise.all(running);
    if (this.failure) throw this.failure;
  }

  private async freeVictim(step: Step): Promise<string | undefined> {
    for (const deadline = Date.now() + 120_000; Date.now() < deadline && !this.stopped(); await wait(20)) {
      if (step.kind.startsWith('database') || step.kind === 'file locked' || step.kind === 'disk full') {
        if (!this.busy.has('database')) return 'database';
        continue;
      }
      const part = step.kind.startsWith('server') ? 'server' : 'link';
      for (let tries = 0; tries < this.victims.nodes; tries += 1) {
        if (!this.busy.has(`${part} ${step.node}`)) return `${part} ${step.node}`;
        step.node = (step.node + 1) % this.victims.nodes;
      }
    }
    return undefined;
  }

  private async suffer({ kind, node, lastsMs, cut }: Step): Promise<void> {
    const { victims } = this;
    const from = Date.now();
    const ofDatabase = kind.startsWith('database') || kind === 'file locked' || kind === 'disk full';
    const disturbance: Disturbance = {
      kind: kind === 'commit cut' ? `commit cut: ${cut}` : kind,
      node: ofDatabase ? null : node,
      from,
      to: Infinity,
    };
    this.disturbances.push(disturbance);
    switch (kind) {
      case 'server killed':
        disturbance.to = await victims.killServer(node, lastsMs);
        break;
      case 'server stopped':
        // Its locks block the other servers until the database has closed its connections.
        for (let other = 0; other < victims.nodes; other += 1)
          if (other !== node) this.disturbances.push({ kind: 'other server stopped', node: other, from, to: from });
        await victims.stopServer?.(node, lastsMs);
        break;
      case 'database killed': {
        const outage = await victims.killDatabase?.(lastsMs);
        if (outage) this.outages.push(outage);
        break;
      }
      case 'database frozen':
        await victims.freezeDatabase?.(lastsMs);
        break;
      case 'commit cut':
        await victims.cutCommit?.(node, cut, lastsMs);
        break;
      case 'link delayed':
        await victims.delayLink?.(node, Math.ceil(lastsMs / 50), lastsMs);
        break;
      case 'link frozen':
        await victims.freezeLink?.(node, lastsMs);
        break;
      case 'link cut':
        await victims.cutLink?.(node);
        break;
      case 'file locked':
        await victims.lockFile?.(lastsMs);
        break;
      case 'disk full':
        await victims.fillDisk?.(lastsMs);
        break;
    }
    if (disturbance.to === Infinity) disturbance.to = Date.now();
    await this.healed(disturbance.node, disturbance.to); // a disturbance before the recovery would test nothing new
    // A slow machine needs more time to start a server and to receive calls.
    await wait(Math.min(MOST_REST_MS, Math.max(REST_MS, (Date.now() - from) / 2)));
    this.done[kind] = (this.done[kind] ?? 0) + 1;
  }
}
