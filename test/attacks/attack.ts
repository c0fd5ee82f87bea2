import type { Target } from './target';

/** One attack. A file in all/ exports one. */
export interface Attack {
  /** As in `--only`. */
  name: string;
  /** What the attacker does, as a phrase for the report. */
  what: string;
  /** How long it lasts where it has no end of its own. */
  lastsMs: number;
  /**
   * Attacks until all is sent, or `target.isOver()`. Answers a sentence for each broken promise to a legitimate client:
   * none if the server withstood it. It throws only where the attack itself could not be made.
   */
  run(target: Target): Promise<string[]>;
}
