import DataLoader from 'dataloader';
import type { EntityManager } from 'typeorm';
import { Claim } from './gate.entities';
import { withTimeout } from '../lib/time';
import type { ClaimName } from './rows';
import { TICK_DEADLINE_MS } from './tick-connection.mysql';

/** Answers in one statement. Each may have MAX_KEPT_ANSWER_BYTES, and as many statements as there are connections may be under way. */
const MAX_ANSWERS = 4;

/** Reads what the claims of successes keep for those who repeat a call: for the repeats of a tick together. */
export class KeptAnswers {
  private readonly loader: DataLoader<ClaimName, string | null>;

  constructor(private readonly lookups: Pick<EntityManager, 'findBy'>) {
    this.loader = new DataLoader((claims) => this.find(claims), { cache: false, maxBatchSize: MAX_ANSWERS });
  }

  /** The answer, or null where it is gone. Rejects where the database does not answer in time. */
  of(claim: ClaimName): Promise<string | null> {
    return this.loader.load(claim);
  }

  private async find(claims: readonly ClaimName[]): Promise<(string | null)[]> {
    const where = claims.map(({ credentialId, requestId, attempt }) => ({ credentialId, requestId, attempt, state: 'DONE' as const }));
    const rows = await withTimeout(this.lookups.findBy(Claim, where), TICK_DEADLINE_MS);
    const found = new Map(rows.map(({ attempt, answer }) => [attempt, answer]));
    return claims.map(({ attempt }) => found.get(attempt) ?? null);
  }
}
