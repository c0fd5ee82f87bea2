import { credentialKey, type Call, type Credential } from '../call';
import type { Count, RateReport } from '../items';

/** The most refusals of one credential that a node writes as log rows in a second. It only counts the others. */
export const REFUSALS_LOGGED_PER_SECOND = 20;
/** After a transaction has refused a call with RATE_LIMITED, the node may answer 429 without a transaction for this long. */
const REMEMBERED_MS = 250;
/** The most entries of `limited` and of `logged`. At this number the map is cleared, which bounds memory. */
const MAX_REMEMBERED = 10_000;

/** The credentialId under which refusals of unknown secrets are counted. */
const UNKNOWN_CREDENTIAL = 'unknown';

type Placed = Pick<Credential, 'id' | 'projectId' | 'limit'>;

/** A RATE_LIMITED refusal that a node remembers. */
export interface Remembered {
  credential: Placed;
  rate: RateReport;
}

/** Answers repeated refusals from memory, so that a flood of them causes few transactions. It only refuses and never admits a call. */
export class RefusalMemory {
  private readonly limited = new Map<string, Remembered>();
  private readonly logged = new Map<string, { second: number; rows: number }>();
  private readonly counted = new Map<string, number>();
  private unknown = 0;

  /** Returns true if one more refusal of this credential is to be written as a log row. */
  logsRefusal(credentialId: string, nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    const known = this.logged.get(credentialId);
    if (known?.second === second) return (known.rows += 1) <= REFUSALS_LOGGED_PER_SECOND;
    if (this.logged.size >= MAX_REMEMBERED) this.logged.clear();
    this.logged.set(credentialId, { second, rows: 1 });
    return true;
  }

  /** Remembers that the database refused this call with RATE_LIMITED. */
  remember(call: Call, credential: Placed, rate: RateReport): void {
    if (this.limited.size >= MAX_REMEMBERED) this.limited.clear();
    const { id, projectId, limit } = credential;
    this.limited.set(keyOf(call), { credential: { id, projectId, limit }, rate });
  }

  /**
   * Returns the remembered refusal of an equal call, if it still applies. Returns undefined if a transaction must decide. Other calls can
   * only make the wait longer, so the refusal stays right unless the limit changes. `confirm` checks the limit.
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

  /** Returns true and counts the refusal if the credential's project and limit are unchanged. Otherwise forgets it and returns false. */
  confirm(call: Call, { credential }: Remembered, present: Placed | undefined): boolean {
    const { id, projectId, limit } = credential;
    const isSameLimit = present?.limit.sustainedRps === limit.sustainedRps && present.limit.burst === limit.burst;
    const holds = isSameLimit && present.projectId === projectId;
    if (holds) this.counted.set(id, (this.counted.get(id) ?? 0) + 1);
    else this.limited.delete(keyOf(call));
    return holds;
  }

  /** Counts one more unknown secret. */
  countUnknown(): void {
    this.unknown += 1;
  }

  /** Returns and resets the counts of refusals that were answered without a log row: from memory, and of unknown secrets. */
  takeCounts(): Count[] {
    const counts = [...this.counted].map(([credentialId, calls]): Count => ({ kind: 'count', credentialId, code: 'RATE_LIMITED', calls }));
    if (this.unknown > 0) counts.push({ kind: 'count', credentialId: UNKNOWN_CREDENTIAL, code: 'INVALID_API_KEY', calls: this.unknown });
    this.counted.clear();
    this.unknown = 0;
    return counts;
  }
}

// Everything that the checks up to the rate check depend on. The requestId is not part of it: the rate is checked before repeats.
function keyOf(call: Call): string {
  return `${credentialKey(call)} ${call.service} ${call.action} ${call.ip ?? ''}`;
}
