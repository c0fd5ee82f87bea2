import type { Target } from './target';

/** One attack. A file in all/ exports one. */
export interface Attack {
  /** The name for `--only`. */
  name: string;
  /** What the attacker does, as a phrase for the report. */
  what: string;
  /** Duration, unless `run` ends earlier. */
  lastsMs: number;
  /**
   * Attacks until everything is sent or `target.isOver()`. Returns a sentence for each broken promise to a legitimate client, and an empty
   * list if the server withstood the attack. Throws only if the attack could not be made.
   */
  run(target: Target): Promise<string[]>;
}
