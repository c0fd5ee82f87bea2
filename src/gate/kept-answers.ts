import DataLoader from 'dataloader';
import type { EntityManager } from 'typeorm';
import { Claim } from './gate.entities';
import type { Log } from '../lib/log';
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

  constructor(
    private readonly lookups: Pick<EntityManager, 'findBy'>,
    private readonly log: Pick<Log, 'warn'>,
  ) {
    this.loader = new DataLoader((claims) => this.find(claims), { cache: false, maxBatchSize: MAX_ANSWERS });
  }

  /** Returns the answer. Null if it was deleted, or if the database does not answer within TICK_DEADLINE_MS. Never rejects. */
  async of(claim: ClaimName): Promise<string | null> {
    try {
      return await this.loader.load(claim);
    } catch (error) {
      this.log.warn({ err: error }, 'gate: reading a kept answer failed');
      return null;
    }
  }

  private async find(claims: readonly ClaimName[]): Promise<(string | null)[]> {
    const where = claims.map(({ credentialId, requestId, attempt }) => ({ credentialId, requestId, attempt, state: 'DONE' as const }));
    const rows = await withTimeout(this.lookups.findBy(Claim, where), TICK_DEADLINE_MS);
    const found = new Map(rows.map(({ attempt, answer }) => [attempt, answer]));
    return claims.map(({ attempt }) => found.get(attempt) ?? null);
  }
}
