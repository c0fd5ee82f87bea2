import { MISHAPS, type Mishap } from './scenario';
import type { SimulatedNode } from './node';
import type { World } from './world';

/** Faults of whole machines. */
export class Mishaps {
  constructor(private readonly world: World) {}

  start(): void {
    this.world.database.afterCommit = (client) => this.strike(client);
    for (const mishap of MISHAPS) this.world.often(this.world.scenario.meanMs[mishap], () => this.happen(mishap));
  }

  /** Ends all faults and starts the dead nodes again. */
  end(): void {
    const { nodes, database, scheduler } = this.world;
    database.downUntil = scheduler.now;
    nodes.forEach((node, index) => {
      node.cutOffUntil = scheduler.now;
      if (node.dead) this.world.startNode(index);
    });
  }

  /** Sometimes kills or suspends a node between a commit and its answer, when it does not know yet that the commit succeeded. */
  private strike(client: string): void {
    const { random, isBusy, nodes, scenario, scheduler } = this.world;
    const index = nodes.findIndex(({ name }) => name === client);
    if (!isBusy || index < 0 || !random.chance(scenario.strikesAtCommit)) return;
    scheduler.after(this.world, 0, () => {
      if (random.chance(0.5)) this.kill(index);
      else this.world.nodes[index]?.suspend(random.between(30_000, 1.5 * scenario.longSleepMs), false);
    });
  }

  private kill(index: number): void {
    const { random, scheduler, nodes, callers } = this.world;
    const node = nodes[index] as SimulatedNode;
    if (node.dead) return;
    node.kill();
    callers.abandoned(node);
    scheduler.after(this.world, random.between(0, 4_000), () => {
      if (this.world.nodes[index] === node) this.world.startNode(index);
    });
  }

  private happen(mishap: Mishap): void {
    const { random, database, scheduler, nodes, scenario } = this.world;
    const index = random.int(0, nodes.length - 1);
    const node = nodes[index] as SimulatedNode;
    switch (mishap) {
      case 'kill':
        return this.kill(index);
      case 'suspend': {
        const ms = random.chance(0.4) ? random.between(0, scenario.longSleepMs) : this.aWhileMs();
        node.suspend(ms, scenario.clocksStandStill && random.chance(0.5));
        return;
      }
      case 'cutOff':
        return node.cutOff(this.aWhileMs());
      case 'crash':
        return database.crash(random.between(0, 2_000));
      case 'freeze':
        database.suspendedUntil = Math.max(database.suspendedUntil, scheduler.now + this.aWhileMs());
        return scheduler.note(`database is frozen until ${database.suspendedUntil.toFixed(3)}`);
      case 'databaseClock': {
        const ms = random.pick(scenario.clockJumpsMs);
        scheduler.note(`database's clock jumps by ${ms} ms`);
        return database.clock.jump(ms);
      }
      case 'processClock':
        return node.jumpClock(random.pick([5, 500, 4_000]));
    }
  }

  /** Returns a duration, in most cases shorter than a client's deadline, sometimes much longer. */
  private aWhileMs(): number {
    const { random, scenario } = this.world;
    return random.chance(0.7) ? random.between(10, 2_000) : random.between(2_000, scenario.longFaultMs);
  }
}
