import DataLoader from 'dataloader';
import type { EntityManager } from 'typeorm';
import { Claim } from './gate.entities';
import type { ClaimRow } from './rows';

/** Answers in one statement: each may have MAX_KEPT_ANSWER_BYTES. */
const MAX_ANSWERS = 16;

type ClaimRef = Pick<ClaimRow, 'credentialId' | 'requestId' | 'attempt'>;

/** Reads what the claims of successes keep for those who repeat a call: for the repeats of a tick together. */
export class KeptAnswers {
  private readonly loader: DataLoader<ClaimRef, string | null>;

  constructor(reader: EntityManager) {
    this.loader = new DataLoader((claims) => this.find(reader, claims), { cache: false, maxBatchSize: MAX_ANSWERS });
  }

  /** The answer, or null where it is gone. */
  of(claim: ClaimRef): Promise<string | null> {
    return this.loader.load(claim);
  }

  private async find(reader: EntityManager, claims: readonly ClaimRef[]): Promise<(string | null)[]> {
    const where = claims.map(({ credentialId, requestId, attempt }) => ({ credentialId, requestId, attempt, state: 'DONE' as const }));
    const found = new Map((await reader.findBy(Claim, where)).map(({ attempt, answer }) => [attempt, answer]));
    return claims.map(({ attempt }) => found.get(attempt) ?? null);
  }
}
