import DataLoader from 'dataloader';
import type { EntityManager } from 'typeorm';
import { Claim } from './gate.entities';
import { withTimeout } from '../lib/time';
import type { ClaimName } from './tick/rows';
import { TICK_DEADLINE_MS } from './tick/tick-connection.mysql';

/**
 * The most answers that one statement reads. Bounds memory: an answer can have MAX_KEPT_ANSWER_BYTES, and each connection can run a
 * statement.
 */
const MAX_ANSWERS = 4;

/** Reads the kept answers of repeated calls, batched: the repeats of a tick share statements. */
export class KeptAnswers {
  private readonly loader: DataLoader<ClaimName, string | null>;

  constructor(private readonly lookups: Pick<EntityManager, 'findBy'>) {
    this.loader = new DataLoader((claims) => this.find(claims), { cache: false, maxBatchSize: MAX_ANSWERS });
  }

  /** Returns the answer, or null if it was deleted. Rejects if the database does not answer within TICK_DEADLINE_MS. */
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
