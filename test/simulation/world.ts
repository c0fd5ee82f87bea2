import { LedgerKind } from '../../src/wallet/ledger-entry.entity';
import { Administrators } from './administrators';
import { Auditor } from './auditor';
import { Callers } from './callers';
import { ModelDatabase, NO_LIMIT, POISON, WORKSPACE } from './database';
import { Network, NO_FAULTS } from './faults';
import { Mishaps } from './mishaps';
import { SimulatedNode, digest } from './node';
import { Random } from './random';
import { scenarioOf, type Scenario } from './scenario';
import { Scheduler, type Owner } from './scheduler';

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
  readonly administrators: Administrators;
  readonly mishaps: Mishaps;
  /** The present process of each node. */
  readonly nodes: SimulatedNode[] = [];
  /** True while callers call, administrators make changes and faults happen. */
  isBusy = false;
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
    this.administrators = new Administrators(this);
    this.mishaps = new Mishaps(this);
    this.furnish();
    for (let i = 0; i < this.scenario.nodes; i += 1) this.startNode(i);
  }

  startNode(index: number): void {
    this.starts += 1;
    const { scheduler, database, network, auditor, scenario } = this;
    const act = (node: SimulatedNode, timeoutMs: number) => this.act(node, timeoutMs);
    this.nodes[index] = new SimulatedNode(`node${index + 1}.${this.starts}`, {
      scheduler,
      database,
      network,
      auditor,
      act,
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

  /** Ends all faults, starts dead nodes, and gives every hold time to expire and be swept. */
  async comeToRest(restMs: number): Promise<void> {
    this.isBusy = false;
    this.network.rates = NO_FAULTS;
    this.mishaps.end();
    this.scheduler.note('no more faults from here');
    await this.scheduler.runUntil(this.scheduler.now + restMs);
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
      const priceMicroCredits = random.pick([0, 1, 1, 3, 10]);
      tables.actions.set(name, { name, priceMicroCredits, timeoutMs: random.pick([100, 1_000, 10_000]), enabled: true });
      auditor.prices.set(name, [priceMicroCredits]);
    }
    auditor.accountsChanged([...tables.accounts.keys()]);
  }

  private async act(node: SimulatedNode, timeoutMs: number): ReturnType<ConstructorParameters<typeof SimulatedNode>[1]['act']> {
    const { random, scheduler, scenario } = this;
    if (random.chance(0.1)) {
      await scheduler.wait(node, timeoutMs);
      return { kind: 'broke', code: 'UPSTREAM_TIMEOUT', cause: 'simulated' };
    }
    // Some actions answer at once, as the built-in ones do.
    if (random.chance(0.8))
      await scheduler.wait(node, random.chance(0.3) ? random.between(0, timeoutMs) : random.between(0, Math.min(50, timeoutMs)));
    if (random.chance(0.1)) return { kind: 'no', errors: [{ code: 'SIMULATED', message: 'No.' }] };
    if (random.chance(0.1)) return { kind: 'broke', code: 'UPSTREAM_FAILED', cause: 'simulated' };
    const data = random.chance(scenario.poison) ? POISON : random.chance(scenario.largeAnswers) ? 'x'.repeat(1024 * 1024) : 'data';
    return { kind: 'ok', dataJson: data };
  }
}
