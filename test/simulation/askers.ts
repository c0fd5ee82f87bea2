import type { SimulatedCall } from './simulated-call';
import { VERIFY_PACE, type HoldRequest } from './verify';
import type { World } from './world';

/** Servers that ask for holds, and settle, void or extend them, or leave them to expire. They repeat requests, and do not always agree. */
export class Askers {
  constructor(private readonly world: World) {}

  /** Uses the hold of a call, of which an asker has just heard. A repeated question brings it here again. */
  use(call: SimulatedCall): void {
    const { random, scenario } = this.world;
    if (random.chance(0.15)) return; // this asker has died
    while (this.world.isBusy && random.chance(scenario.extensions)) this.send(call, { what: 'extend' }, random.pick(scenario.upstreamMs));
    const request: HoldRequest = random.chance(0.75) ? { what: 'settle', usage: this.world.usage() ?? null } : { what: 'void' };
    const { lastsMs } = VERIFY_PACE;
    const isLate = random.chance(0.2); // asks at about the time when the hold expires
    const afterMs = isLate ? random.between(lastsMs - 50, lastsMs + 200) : random.pick(scenario.upstreamMs) * random.between(0.5, 1);
    if (isLate && random.chance(0.5)) this.send(call, { what: 'extend' }, random.between(lastsMs - 50, lastsMs));
    this.send(call, request, afterMs);
    while (random.chance(scenario.repeats)) this.send(call, request, afterMs + random.pick([0, 3, 1_000]));
    if (random.chance(0.2)) this.send(call, random.chance(0.5) ? { what: 'void' } : { what: 'settle', usage: null }, afterMs);
  }

  /** No hold is extended once the world comes to rest: it must end then. */
  private send(call: SimulatedCall, request: HoldRequest, afterMs: number): void {
    const { scheduler, random, nodes } = this.world;
    scheduler.after(this.world, afterMs, () => {
      if (request.what === 'extend' && !this.world.isBusy) return;
      const node = random.pick(nodes);
      if (!node.dead) node.useHold(call, request);
    });
  }
}
