import type { ActionOutcome } from '../../src/actions/runner';
import type { Usage } from '../../src/actions/unit-prices';
import { LedgerKind } from '../../src/wallet/ledger-entry.entity';
import { Administrators } from './administrators';
import { Askers } from './askers';
import { Auditor } from './auditor';
import { Callers } from './callers';
import { ModelDatabase, NO_LIMIT, POISON, WORKSPACE } from './database';
import { Network, NO_FAULTS } from './faults';
import { Mishaps } from './mishaps';
import { SimulatedNode, digest } from './node';
import { Random } from './random';
import { scenarioOf, type Scenario } from './scenario';
import { Scheduler, type Owner } from './scheduler';

/** Longer than a call of a route may take. */
const ENDLESS_MS = 3_900_000;
/** Packets, sessions and locks from the time of the faults are gone after this time. */
const CALM_AFTER_MS = 30_000;

/** The world of one seed. */
export class World implements Owner {
  readonly name = 'world';
  dead = false;
  suspendedUntil = 0;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly scenario: Scenario;
  readonly auditor: Auditor;
  readonly database: ModelDatabase;
  readonly network: Network;
  readonly callers: Callers;
  readonly askers: Askers;
  readonly administrators: Administrators;
  readonly mishaps: Mishaps;
  /** The present process of each node. */
  readonly nodes: SimulatedNode[] = [];
  /** True while callers call, administrators make changes and faults happen. */
  isBusy = false;
  private isResting = false;
  /** Time when the last call of a route gets its answer. */
  private busyUntil = 0;
  private starts = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.scheduler = new Scheduler(this.random);
    this.scenario = scenarioOf(this.random);
    this.auditor = new Auditor(this.scheduler);
    this.database = new ModelDatabase(this.scheduler, this.auditor);
    this.auditor.watch(this.database);
    this.network = new Network(this.scheduler);
    this.callers = new Callers(this);
    this.askers = new Askers(this);
    this.administrators = new Administrators(this);
    this.mishaps = new Mishaps(this);
    this.furnish();
    for (let i = 0; i < this.scenario.nodes; i += 1) this.startNode(i);
  }

  startNode(index: number): void {
    this.starts += 1;
    const { scheduler, database, network, auditor, scenario } = this;
    this.nodes[index] = new SimulatedNode(`node${index + 1}.${this.starts}`, {
      scheduler,
      database,
      network,
      auditor,
      upstreams: {
        act: (node, timeoutMs) => this.act(node, timeoutMs),
        answer: (node, upstreamMs) => this.answer(node, upstreamMs),
      },
      heard: (call) => this.callers.heard(call),
      limits: scenario.limits,
      maxTickBytes: scenario.maxTickBytes,
    });
  }

  /** Runs `work` again and again while the world is busy, on average every `meanMs`. */
  often(meanMs: number, work: () => void): void {
    if (meanMs === Infinity) return;
    const next = (): void => {
      this.scheduler.after(this, -Math.log(1 - this.random.next()) * meanMs, () => {
        if (!this.isBusy) return;
        work();
        next();
      });
    };
    next();
  }

  secretOf(keyId: string, number: number): { secret: string; digest: string } {
    const secret = `${keyId} secret ${number}`;
    return { secret, digest: digest(secret) };
  }

  /** Returns how long an upstream takes for a call of a route. The world does not come to rest before. */
  upstreamMs(): number {
    const { random, scenario } = this;
    return random.chance(scenario.endlessUpstreams) ? ENDLESS_MS : random.pick(scenario.upstreamMs) * random.between(0.5, 1);
  }

  /** Ends all faults, starts dead nodes, and gives every call time to end, and every hold time to expire and be swept. */
  async comeToRest(restMs: number): Promise<void> {
    const { scheduler, auditor, nodes, database } = this;
    this.isBusy = false;
    this.network.rates = NO_FAULTS;
    this.mishaps.end();
    scheduler.note('no more faults from here');
    const awakeAt = Math.max(Math.min(...nodes.map(({ suspendedUntil }) => suspendedUntil)), database.suspendedUntil, scheduler.now);
    auditor.calmFrom(awakeAt + CALM_AFTER_MS);
    this.isResting = true;
    this.look();
    await scheduler.runUntil(scheduler.now + restMs);
    while (this.busyUntil + restMs > scheduler.now && scheduler.failure === undefined) await scheduler.runUntil(this.busyUntil + restMs);
    this.isResting = false;
    auditor.calmFrom(Infinity);
  }

  /** Lets the auditor look at the resting world every second. */
  private look(): void {
    if (!this.isResting) return;
    this.auditor.resting();
    this.scheduler.after(this, 1_000, () => this.look());
  }

  private furnish(): void {
    const { random, scenario, database, auditor } = this;
    const { tables } = database;
    tables.openAccount(WORKSPACE);
    tables.enter(WORKSPACE, LedgerKind.TOPUP, 1_000_000, null, 0);
    for (let i = 1; i <= scenario.projects; i += 1) {
      const projectId = `prj_${i}`;
      tables.projects.set(projectId, { projectId, archivedAt: null, ...(random.chance(0.5) ? NO_LIMIT : this.administrators.limit()) });
      tables.openAccount(projectId);
      tables.enter(projectId, LedgerKind.ADJUSTMENT, random.pick([5, 50, 1_000, 1_000]), null, 0);
      for (let key = 0; key < scenario.keysPerProject; key += 1) this.administrators.mint(projectId);
    }
    for (let i = 1; i <= scenario.actions; i += 1) {
      const name = `action${i}`;
      const prices = this.administrators.prices();
      tables.actions.set(name, { ...prices, name, timeoutMs: random.pick([100, 1_000, 10_000]), enabled: true });
      auditor.prices.set(name, [prices]);
      const route = { id: `route${i}`, version: 1, enabled: true, action: name, changedAt: 0 };
      if (scenario.routeCalls > 0) tables.routes.set(route.id, route);
    }
    auditor.accountsChanged([...tables.accounts.keys()]);
  }

  private async act(node: SimulatedNode, timeoutMs: number): Promise<ActionOutcome> {
    const { random, scheduler } = this;
    if (random.chance(0.1)) {
      await scheduler.wait(node, timeoutMs);
      return { kind: 'broke', code: 'UPSTREAM_TIMEOUT', cause: 'simulated' };
    }
    // Some actions answer at once, as the built-in ones do.
    if (random.chance(0.8))
      await scheduler.wait(node, random.chance(0.3) ? random.between(0, timeoutMs) : random.between(0, Math.min(50, timeoutMs)));
    return this.outcome();
  }

  private async answer(node: SimulatedNode, upstreamMs: number): Promise<ActionOutcome> {
    const { random, scheduler } = this;
    this.busyUntil = Math.max(this.busyUntil, scheduler.now + upstreamMs);
    await scheduler.wait(node, random.chance(0.1) ? random.between(0, upstreamMs) : upstreamMs);
    return this.outcome();
  }

  private outcome(): ActionOutcome {
    const { random, scenario } = this;
    if (random.chance(0.1)) return { kind: 'no', errors: [{ code: 'SIMULATED', message: 'No.' }] };
    if (random.chance(0.1)) return { kind: 'broke', code: 'UPSTREAM_FAILED', cause: 'simulated' };
    const data = random.chance(scenario.poison) ? POISON : random.chance(scenario.largeAnswers) ? 'x'.repeat(1024 * 1024) : 'data';
    const usage = this.usage();
    return { kind: 'ok', dataJson: data, ...(usage ? { usage } : {}) };
  }

  /** What an upstream reports: nothing, other units than the priced ones, little, or much more than a call holds. */
  usage(): Usage | undefined {
    const { random } = this;
    if (random.chance(0.2)) return undefined;
    const most = random.pick([3, 30, 300]);
    const units = ['tokens', 'seconds', 'images'].filter(() => random.chance(0.6));
    return Object.fromEntries(units.map((unit) => [unit, random.int(0, most)]));
  }
}
