import { serverSays, type DatabaseError } from './database-errors';
import type { Random } from './random';
import type { Scheduler } from './scheduler';

/** How likely each fault is for one packet, from 0 to 1, and how long packets take. */
export interface FaultRates {
  /** The packet never reaches the server. */
  lostRequest: number;
  /** The server executes the packet, but its answer is lost. */
  lostAnswer: number;
  /** The packet may arrive after its sender gave up. */
  late: number;
  /** The server answers with an error, temporary or not. */
  refusal: number;
  /** The server refuses a new connection. */
  refused: number;
  /** The server notices only after seconds that a client has hung up. */
  lateNotice: number;
  latencyMs: number;
}

export const NO_FAULTS: FaultRates = { lostRequest: 0, lostAnswer: 0, late: 0, refusal: 0, refused: 0, lateNotice: 0, latencyMs: 1 };

/** The faults of one packet. */
export interface Fate {
  requestMs: number;
  answerMs: number;
  lostRequest: boolean;
  lostAnswer: boolean;
  /** True if the client learns of a loss at once. Otherwise it waits for its deadline. */
  told: boolean;
  refusal: DatabaseError | undefined;
}

/** Error numbers that the server may answer with instead of executing a packet. 1290 and 1105 are errors that the gate does not expect. */
const REFUSALS = [1213, 1213, 1205, 1020, 1290, 1105, 1105];

/** Faults come in spells: for this long after a fault, further faults are SPELL_FACTOR times as likely, but at most MOST_LIKELY. */
const SPELL_MS = 300;
const SPELL_FACTOR = 5;
const MOST_LIKELY = 0.4;

/** The network between nodes and database, with its faults. */
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

  /** Returns how long the server takes to notice that a client has hung up. */
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
