import type { Usage } from '../../src/actions/unit-prices';
import type { LogRow } from '../../src/gate/tick/rows';
import type { HoldAnswer, HoldRequest } from './verify';

/** Errors after which the outcome of a request is open. It may be repeated. */
const OPEN_ENDED = new Set(['SERVICE_UNAVAILABLE', 'OUTCOME_UNKNOWN']);

const sameUsage = (one: Usage | null, other: Usage | null): boolean => JSON.stringify(one) === JSON.stringify(other);

/** Checks how the holds of verifications end: as one of their requests asked, and as every request is told. */
export class EndAudit {
  private readonly asked = new Map<string, HoldRequest[]>();

  constructor(private readonly fail: (problem: string) => void) {}

  asks(name: string, request: HoldRequest): void {
    this.asked.set(name, [...(this.asked.get(name) ?? []), request]);
  }

  /** Whether a request asked for the end that is logged. */
  isAsked(name: string, { outcome, errorCode, usage }: LogRow): boolean {
    const requests = this.asked.get(name) ?? [];
    if (outcome === 'SUCCEEDED') return requests.some((each) => each.what === 'settle' && sameUsage(each.usage, usage));
    // A settlement that the database refuses for good is voided instead
    if (errorCode === 'INTERNAL') return requests.some(({ what }) => what === 'settle');
    return outcome !== 'FAILED' || requests.some(({ what }) => what === 'void');
  }

  /** Checks an answer. `log` is the log row of the hold, as it is committed now. */
  heard(name: string, request: HoldRequest, answer: HoldAnswer, log: LogRow | undefined): void {
    if (this.isTrue(request, answer, log)) return;
    const told = 'text' in answer ? answer.text : answer.code;
    this.fail(`the asker of ${name} was told ${told} for ${JSON.stringify(request)}, but the hold is ${log?.outcome ?? 'open'}`);
  }

  private isTrue(request: HoldRequest, answer: HoldAnswer, log: LogRow | undefined): boolean {
    if ('code' in answer) {
      if (OPEN_ENDED.has(answer.code)) return true;
      // The database refuses the request for good: the hold ends without a bill, or an extension has no effect
      if (answer.code === 'INTERNAL') return request.what === 'extend' || log?.outcome === 'FAILED' || log?.outcome === 'EXPIRED';
      if (answer.code === 'HOLD_EXPIRED') return log?.outcome === 'EXPIRED';
      return answer.code === 'ALREADY_SETTLED' && (log?.outcome === 'SUCCEEDED' || log?.outcome === 'FAILED');
    }
    if (request.what === 'extend') return true; // it may have ended meanwhile
    if (request.what === 'void') return log?.outcome === 'FAILED' && log.errorCode !== 'INTERNAL';
    return log?.outcome === 'SUCCEEDED' && sameUsage(log.usage, request.usage) && answer.text === String(log.chargedMicroCredits);
  }
}
