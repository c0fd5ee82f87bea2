import { serverSays, type DatabaseError } from './database-errors';
import type { Random } from './random';
import type { Scheduler } from './scheduler';

/** How likely it is that one packet meets something, and how long packets take. */
export interface FaultRates {
  /** The packet never reaches the server. */
  lostRequest: number;
  /** The server does what the packet says, and its answer is lost. */
  lostAnswer: number;
  /** The packet arrives after its sender gave up. */
  late: number;
  /** The server gives up for a reason that passes, or for one that does not. */
  refusal: number;
  refused: number;
  /** The server sees only after seconds that a client has hung up. */
  lateNotice: number;
  latencyMs: number;
}

export const NO_FAULTS: FaultRates = { lostRequest: 0, lostAnswer: 0, late: 0, refusal: 0, refused: 0, lateNotice: 0, latencyMs: 1 };

/** What becomes of one packet. */
export interface Fate {
  requestMs: number;
  answerMs: number;
  lostRequest: boolean;
  lostAnswer: boolean;
  /** Whether the client learns of a loss at once, rather than by waiting in vain. */
  told: boolean;
  refusal: DatabaseError | undefined;
}

/** What the server may answer instead of doing it: mostly deadlocks, now and then something that no one foresaw. */
const REFUSALS = [1213, 1213, 1205, 1020, 1290, 1105, 1105];

/** Trouble comes in spells: for so long after it, more of it is so much likelier. */
const SPELL_MS = 300;
const SPELL_FACTOR = 5;
const MOST_LIKELY = 0.4;

/** The network between nodes and database, and all that goes wrong on it. */
export class Network {
  rates: FaultRates = NO_FAULTS;
  private badUntil = 0;

  constructor(private readonly scheduler: Scheduler) {}

  private get random(): Random {
    return this.scheduler.random;
  }

  latencyMs(): number {
    const { random, rates } = this;
    return random.chance(0.05) ? random.between(0, 20 * rates.latencyMs) : random.between(0.05, rates.latencyMs);
  }

  refusesConnection(): boolean {
    return this.random.chance(this.rates.refused);
  }

  /** How long the server takes to see that a client is gone. */
  noticeMs(): number {
    return this.random.chance(this.rates.lateNotice) ? this.random.between(0, 10_000) : this.random.between(0, 2);
  }

  beginSpell(): void {
    this.badUntil = this.scheduler.now + SPELL_MS;
  }

  fate(cutOffUntil: number): Fate {
    const { random, rates, scheduler } = this;
    const cutOffMs = Math.max(0, cutOffUntil - scheduler.now);
    const happens = (rate: number): boolean => {
      const likely = scheduler.now < this.badUntil ? Math.min(rate * SPELL_FACTOR, Math.max(rate, MOST_LIKELY)) : rate;
      if (!random.chance(likely)) return false;
      this.beginSpell();
      return true;
    };
    const lateMs = random.chance(rates.late) ? random.between(3_000, 9_000) : 0;
    return {
      requestMs: this.latencyMs() + Math.max(cutOffMs, lateMs),
      answerMs: this.latencyMs(),
      lostRequest: cutOffMs > 0 ? random.chance(0.5) : happens(rates.lostRequest),
      lostAnswer: happens(rates.lostAnswer),
      told: cutOffMs === 0 && random.chance(0.8),
      refusal: happens(rates.refusal) ? serverSays(random.pick(REFUSALS)) : undefined,
    };
  }
}
