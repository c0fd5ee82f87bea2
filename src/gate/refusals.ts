import { credentialKey, type Call, type Credential } from './call';
import type { Count, RateReport } from './decide';

/** Refusals of one credential that one node writes as rows in a second; the rest it counts. */
export const REFUSALS_LOGGED_PER_SECOND = 20;
/** How long a node may answer 429 without a transaction after one has refused a call for its rate. */
const REMEMBERED_MS = 250;
/** Forgotten all at once where more calls than this are remembered, so that memory stays bounded. */
const MAX_REMEMBERED = 10_000;

/** The credential in whose name those are counted that nobody knows. */
const UNKNOWN_CREDENTIAL = 'unknown';

type Placed = Pick<Credential, 'id' | 'projectId' | 'limit'>;

/** A refusal of the rate that a node remembers. */
export interface Remembered {
  credential: Placed;
  rate: RateReport;
}

/** Keeps a flood of refused calls from becoming a flood of transactions. It only ever refuses; nothing is admitted from here. */
export class RefusalMemory {
  private readonly limited = new Map<string, Remembered>();
  private readonly logged = new Map<string, { second: number; rows: number }>();
  private readonly counted = new Map<string, number>();
  private unknown = 0;

  /** Whether one more refusal of this credential is still written as a row. */
  logsRefusal(credentialId: string, nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    const known = this.logged.get(credentialId);
    if (known?.second === second) return (known.rows += 1) <= REFUSALS_LOGGED_PER_SECOND;
    if (this.logged.size >= MAX_REMEMBERED) this.logged.clear();
    this.logged.set(credentialId, { second, rows: 1 });
    return true;
  }

  /** The database refused this call for its rate. */
  remember(call: Call, credential: Placed, rate: RateReport): void {
    if (this.limited.size >= MAX_REMEMBERED) this.limited.clear();
    const { id, projectId, limit } = credential;
    this.limited.set(keyOf(call), { credential: { id, projectId, limit }, rate });
  }

  /**
   * The refusal of a call like this one a moment ago, if it would be refused still; undefined if a transaction has to decide.
   * The theoretical arrival time only grows until the limit changes: `confirm` tells whether it did.
   */
  recall(call: Call, now: number): Remembered | undefined {
    if (this.limited.size === 0) return undefined;
    const known = this.limited.get(keyOf(call));
    if (!known) return undefined;
    const elapsedMs = now - known.rate.asOfMs;
    const untilNextUs = known.rate.untilNextUs - elapsedMs * 1000;
    if (elapsedMs >= REMEMBERED_MS || untilNextUs <= 0) {
      this.limited.delete(keyOf(call));
      return undefined;
    }
    return { credential: known.credential, rate: { ...known.rate, untilNextUs, asOfMs: now } };
  }

  /** Whether a refusal holds for its credential as it is now. If so it is counted; otherwise it is forgotten. */
  confirm(call: Call, { credential }: Remembered, present: Placed | undefined): boolean {
    const { id, projectId, limit } = credential;
    const isSameLimit = present?.limit.sustainedRps === limit.sustainedRps && present.limit.burst === limit.burst;
    const holds = isSameLimit && present.projectId === projectId;
    if (holds) this.counted.set(id, (this.counted.get(id) ?? 0) + 1);
    else this.limited.delete(keyOf(call));
    return holds;
  }

  /** One more secret that belongs to nobody. */
  countUnknown(): void {
    this.unknown += 1;
  }

  /** The refusals answered without a row since the last time: those that were remembered, and those of unknown secrets. */
  takeCounts(): Count[] {
    const counts = [...this.counted].map(([credentialId, calls]): Count => ({ kind: 'count', credentialId, code: 'RATE_LIMITED', calls }));
    if (this.unknown > 0) counts.push({ kind: 'count', credentialId: UNKNOWN_CREDENTIAL, code: 'INVALID_API_KEY', calls: this.unknown });
    this.counted.clear();
    this.unknown = 0;
    return counts;
  }
}

// All that the checks before the rate look at. A call that brings a requestId has the same standing: rate is checked before repeats.
function keyOf(call: Call): string {
  return `${credentialKey(call)} ${call.service} ${call.action} ${call.ip ?? ''}`;
}
