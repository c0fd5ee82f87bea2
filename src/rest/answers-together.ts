type Answer = () => void;

/** The answers to what arrived in one turn of the event loop. */
export type Turn = Answer[];

/**
 * What is answered in the same turn of the event loop that it arrived in is sent at the end of that turn, all together. One by one, each
 * answer would wake a caller, whose next request comes while others are still being read: refusals took twice as long (bench/README).
 */
export class AnswersTogether {
  private now: Turn | undefined;

  /** The turn that a request arrives in. */
  arrive(): Turn {
    if (this.now) return this.now;
    const turn: Turn = [];
    setImmediate(() => {
      this.now = undefined;
      for (const answer of turn) answer();
    });
    return (this.now = turn);
  }

  /** Sends an answer at the end of the turn that its request arrived in, or at once where that is over. */
  send(turn: Turn | null, answer: Answer): void {
    if (turn !== null && turn === this.now) turn.push(answer);
    else answer();
  }
}
