import { In, IsNull, type EntityManager } from 'typeorm';
import { RequestLog, RequestOutcome } from '../requests/request-log.entity';
import { Claim, SingleHold } from './gate.entities';
import { settlementClaim, type ClaimRow, type HoldRow } from './tick/rows';
import { singleHoldOf } from './tick/tick-reads';

/** A hold that is closed, as its log row tells it. */
export type ClosedHold = Pick<RequestLog, 'workspaceId' | 'outcome' | 'errorCode' | 'chargedMicroCredits'>;

/** The reads of verified holds. They see everything that was committed before. */
export interface HoldStore {
  /** The open hold of a verification. */
  open(id: string): Promise<HoldRow | undefined>;
  /** The end of a hold that a verification may have opened. */
  closed(id: string): Promise<ClosedHold | null>;
  /** The request that settled a hold, with its answer. Null if it was too long ago. */
  settlement(id: string): Promise<Pick<ClaimRow, 'fingerprint' | 'answer'> | null>;
  /** Whether the database has the log row or the hold of an attempt. */
  isCommitted(attempt: string): Promise<boolean>;
}

export class DatabaseHoldStore implements HoldStore {
  constructor(private readonly lookups: EntityManager) {}

  async open(id: string): Promise<HoldRow | undefined> {
    const row = await this.lookups.findOneBy(SingleHold, { id });
    const hold = row ? singleHoldOf(row) : undefined;
    return hold?.askerId === undefined ? undefined : hold; // a call of a route has such a hold too, and settles it itself
  }

  /** Only calls that Tollgate runs itself have a time inside the action. */
  closed(id: string): Promise<ClosedHold | null> {
    const outcome = In([RequestOutcome.SUCCEEDED, RequestOutcome.FAILED, RequestOutcome.EXPIRED]);
    const select = { id: true, workspaceId: true, outcome: true, errorCode: true, chargedMicroCredits: true } as const;
    return this.lookups.findOne(RequestLog, { select, where: { id, actionMs: IsNull(), outcome } });
  }

  settlement(id: string): Promise<Pick<ClaimRow, 'fingerprint' | 'answer'> | null> {
    const { credentialId, requestId } = settlementClaim(id);
    return this.lookups.findOneBy(Claim, { credentialId, requestId });
  }

  async isCommitted(attempt: string): Promise<boolean> {
    return (await this.lookups.existsBy(RequestLog, { id: attempt })) || (await this.lookups.existsBy(SingleHold, { id: attempt }));
  }
}
