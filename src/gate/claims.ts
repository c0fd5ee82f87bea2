import { DAY_MS } from '../lib/time';
import { claimKey, type ClaimRow, type HoldRow, type TickWrites } from './tick/rows';

/** How long an answer is kept for callers that repeat the request. */
export const CLAIM_KEPT_MS = DAY_MS;
/** The largest answer that is kept. Repeating a call with a larger one is refused with REPLAY_UNAVAILABLE. */
export const MAX_KEPT_ANSWER_BYTES = 1024 * 1024;

type ClaimKey = Pick<ClaimRow, 'credentialId' | 'requestId'>;

/** The claims of one tick: the ones that it has read, with its changes. */
export class Claims {
  /** Claims that this tick changes, by `claimKey`. `now` is undefined if the claim is deleted; `attempt` names the deleted one. */
  private readonly touched = new Map<string, { now: ClaimRow | undefined; attempt: string }>();

  constructor(
    private readonly read: ReadonlyMap<string, ClaimRow>,
    private readonly nowMs: number,
  ) {}

  at(claim: ClaimKey): ClaimRow | undefined {
    const touched = this.touched.get(claimKey(claim));
    return touched ? touched.now : this.read.get(claimKey(claim));
  }

  /** Claims the requestId of a call that begins to run. */
  open({ credentialId, requestId, attempt, expiresAt }: HoldRow, fingerprint: string): void {
    const open = { state: 'RUNNING', expiresAt, chargedMicroCredits: 0, answer: null } as const;
    this.set({ credentialId, requestId, attempt, fingerprint, ...open });
  }

  /** Claims a requestId and keeps its answer at once. */
  keep(claim: Pick<ClaimRow, 'credentialId' | 'requestId' | 'attempt' | 'fingerprint'>, chargedMicroCredits: number, answer: string): void {
    const { credentialId, requestId, attempt, fingerprint } = claim;
    const kept = Buffer.byteLength(answer) <= MAX_KEPT_ANSWER_BYTES ? answer : null;
    const expiresAt = this.nowMs + CLAIM_KEPT_MS;
    this.set({ credentialId, requestId, attempt, fingerprint, state: 'DONE', expiresAt, chargedMicroCredits, answer: kept });
  }

  /** Stores the answer of a success in its claim. Deletes the claim of any other call. Does nothing if a newer attempt has the claim. */
  end(hold: HoldRow, chargedMicroCredits: number, answer: string | undefined): void {
    const claim = this.at(hold);
    if (claim?.attempt !== hold.attempt) return;
    if (answer === undefined) this.touched.set(claimKey(hold), { now: undefined, attempt: hold.attempt });
    else this.keep(claim, chargedMicroCredits, answer);
  }

  /** Moves the expiry of the claim of a call that still runs. */
  move(hold: HoldRow, expiresAt: number): void {
    const claim = this.at(hold);
    if (claim?.attempt === hold.attempt) this.set({ ...claim, expiresAt });
  }

  writes(): Pick<TickWrites, 'claims' | 'endedClaims'> {
    const touched = [...this.touched];
    return {
      claims: touched.flatMap(([, { now }]) => (now ? [now] : [])),
      endedClaims: touched.flatMap(([key, { now, attempt }]) => {
        const [credentialId, requestId] = key.split(' ') as [string, string];
        return now ? [] : [{ credentialId, requestId, attempt }];
      }),
    };
  }

  private set(claim: ClaimRow): void {
    this.touched.set(claimKey(claim), { now: claim, attempt: claim.attempt });
  }
}
