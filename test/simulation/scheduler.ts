import type { Random } from './random';

/** The process or machine of an event. Events of a dead owner are dropped; events of a suspended owner wait until it wakes. */
export interface Owner {
  readonly name: string;
  dead: boolean;
  suspendedUntil: number;
}

export interface Scheduled {
  cancel(): void;
}

interface Event {
  at: number;
  /** Random order of events with the same time. */
  order: number;
  owner: Owner;
  work: () => void;
  cancelled: boolean;
}

/**
 * Simulated time, in milliseconds: one queue of events. Its order depends only on the seed. Between two events the code under test runs
 * until it waits, and no real timer or I/O gets a turn.
 */
export class Scheduler {
  now = 0;
  failure: string | undefined;
  readonly history: string[] = [];
  private readonly queue: Event[] = [];

  constructor(readonly random: Random) {}

  after(owner: Owner, ms: number, work: () => void): Scheduled {
    const event: Event = { at: this.now + Math.max(0, ms), order: this.random.next(), owner, work, cancelled: false };
    this.push(event);
    return {
      cancel: () => {
        event.cancelled = true;
      },
    };
  }

  wait(owner: Owner, ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(owner, ms, resolve));
  }

  /** Runs every event that is due until `time`. Stops early if a fault is found. */
  async runUntil(time: number): Promise<void> {
    for (let event = this.queue[0]; event && event.at <= time && this.failure === undefined; event = this.queue[0]) {
      this.pop();
      if (event.cancelled || event.owner.dead) continue;
      if (event.owner.suspendedUntil > event.at) {
        event.at = event.owner.suspendedUntil;
        this.push(event);
        continue;
      }
      this.now = event.at;
      event.work();
      // Waits for all microtasks, with those that they add, and for no timer: Node runs them before the next tick.
      await new Promise<void>((resolve) => process.nextTick(resolve));
    }
    this.now = Math.max(this.now, time);
  }

  note(text: string): void {
    this.history.push(`${this.now.toFixed(3).padStart(12)}  ${text}`);
  }

  /** Reports a broken promise. The first one ends the simulation. */
  fail(problem: string): void {
    this.note(`FOUND: ${problem}`);
    this.failure ??= problem;
  }

  private push(event: Event): void {
    const { queue } = this;
    let at = queue.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(event, queue[above] as Event)) break;
      queue[at] = queue[above] as Event;
      at = above;
    }
    queue[at] = event;
  }

  private pop(): void {
    const { queue } = this;
    const last = queue.pop() as Event;
    if (queue.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= queue.length) break;
      if (below + 1 < queue.length && isBefore(queue[below + 1] as Event, queue[below] as Event)) below += 1;
      if (!isBefore(queue[below] as Event, last)) break;
      queue[at] = queue[below] as Event;
      at = below;
    }
    queue[at] = last;
  }
}

const isBefore = (left: Event, right: Event): boolean => left.at < right.at || (left.at === right.at && left.order < right.order);
