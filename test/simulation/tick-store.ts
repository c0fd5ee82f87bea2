import type { CredentialRef, Credential } from '../../src/gate/call';
import {
  claimKey,
  settlementClaim,
  type ClaimName,
  type ClaimRow,
  type HoldRow,
  type LockedBudget,
  type TickState,
  type TickWrites,
} from '../../src/gate/tick/rows';
import type { ClosedHold, HoldStore } from '../../src/gate/hold-store';
import type { SweepStore } from '../../src/gate/sweep-store';
import { TickFailure, type TickNeeds, type TickStore } from '../../src/gate/tick/tick-store';
import { Connection, type Client } from './connection';
import type { ModelDatabase } from './database';
import { DatabaseError, noAnswer } from './database-errors';
import type { Network } from './faults';

const CONNECTIONS = 10;
const WAIT_FOR_CONNECTION_MS = 5_000;
/** Holds that a sweep reads at a time. The number is small, so that a sweep needs several reads. */
const HOLDS_AT_A_TIME = 20;

/** A node's store on the model database. It sends the same packets and reports the same failures as the store for MySQL. */
export class SimulatedTickStore implements TickStore, SweepStore, HoldStore {
  private readonly connections = new Set<Connection>();
  private taken = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly client: Client,
    private readonly database: ModelDatabase,
    private readonly network: Network,
    readonly maxBytes: number,
  ) {}

  findCredentials(credentials: CredentialRef[]): Promise<Map<string, Credential>> {
    return this.once('look-up', (database) => database.findCredentials(credentials)).catch((error: unknown) => {
      throw new TickFailure(false, error);
    });
  }

  async transact(needs: TickNeeds, { waits }: { waits: boolean }, decide: (state: TickState) => TickWrites): Promise<void> {
    let committing = false;
    try {
      await this.connected(async (connection) => {
        const state = await connection.exchange<TickState>('lock', (session, reply) => this.database.begin(session, needs, waits, reply));
        await this.readMore(connection, needs, state);
        const writes = sent(decide(state));
        committing = true;
        await connection.exchange<void>('commit', (session, reply) => this.database.commit(session, writes, reply));
      });
    } catch (error) {
      throw new TickFailure(committing && error instanceof DatabaseError && !error.isServersAnswer, error);
    }
  }

  private async readMore(connection: Connection, { attempts }: TickNeeds, state: TickState): Promise<void> {
    const ended = attempts.filter((attempt) => !state.openHolds.has(attempt));
    const isStale = (claim: ClaimRow): boolean => claim.state === 'RUNNING' && claim.expiresAt * 1000 <= state.nowUs;
    const stale = [...state.claims.values()].filter(isStale).map((claim) => claim.attempt);
    if (ended.length === 0 && stale.length === 0) return;
    const more = await connection.exchange<Pick<TickState, 'ended' | 'staleHolds'>>('second read', (_session, reply) =>
      this.database.readMore(ended, stale, reply),
    );
    Object.assign(state, more);
    for (const { attempt, expiresAt } of more.staleHolds.values()) {
      state.openHolds.add(attempt);
      if (this.database.tables.singleHolds.has(attempt)) state.singleHolds.set(attempt, expiresAt);
    }
  }

  now(): Promise<number> {
    return this.once('look at the clock', () => this.database.clock.nowMs());
  }

  findExpiredHolds(now: number, after: string): Promise<{ holds: HoldRow[]; last: string | undefined }> {
    return this.findExpired('holds', now, after);
  }

  findExpiredSingleHolds(now: number, after: string): Promise<{ holds: HoldRow[]; last: string | undefined }> {
    return this.findExpired('singleHolds', now, after);
  }

  private findExpired(table: 'holds' | 'singleHolds', now: number, after: string): ReturnType<SweepStore['findExpiredHolds']> {
    return this.once('search for holds', ({ tables }) => {
      const numberOf = (attempt: string): number => tables.holdNumbers.get(attempt) ?? -1;
      const due = [...tables[table].values()].filter(({ expiresAt, attempt }) => expiresAt <= now && numberOf(attempt) > numberOf(after));
      const holds = due.sort((left, right) => numberOf(left.attempt) - numberOf(right.attempt)).slice(0, HOLDS_AT_A_TIME);
      return { holds, last: holds.at(-1)?.attempt };
    });
  }

  findOldClaims(now: number, limit: number): Promise<ClaimName[]> {
    const isOld = (claim: ClaimRow): boolean => claim.state === 'DONE' && claim.expiresAt <= now;
    return this.once('search for claims', ({ tables }) => [...tables.claims.values()].filter(isOld).slice(0, limit));
  }

  forgetClaims(claims: ClaimName[]): Promise<void> {
    return this.once('removal of claims', ({ tables }) => {
      for (const claim of claims) if (tables.claims.get(claimKey(claim))?.attempt === claim.attempt) tables.claims.delete(claimKey(claim));
    });
  }

  keptAnswer(claim: ClaimName): Promise<string | null> {
    return this.once('look for an answer', ({ tables }) => {
      const found = tables.claims.get(claimKey(claim));
      return found?.attempt === claim.attempt && found.state === 'DONE' ? found.answer : null;
    });
  }

  open(id: string): Promise<HoldRow | undefined> {
    return this.once('look for a hold', ({ tables }) => {
      const hold = tables.singleHolds.get(id);
      return hold?.askerId === undefined ? undefined : { ...hold };
    });
  }

  closed(id: string): Promise<ClosedHold | null> {
    return this.once('look for a log row', ({ tables }) => {
      const log = tables.logs.get(id);
      return log && log.actionMs === null && log.outcome !== 'REFUSED' ? (log as ClosedHold) : null;
    });
  }

  settlement(id: string): Promise<Pick<ClaimRow, 'fingerprint' | 'answer'> | null> {
    return this.once('look for a settlement', ({ tables }) => tables.claims.get(claimKey(settlementClaim(id))) ?? null);
  }

  isCommitted(attempt: string): Promise<boolean> {
    return this.once('look for an attempt', ({ tables }) => tables.logs.has(attempt) || tables.singleHolds.has(attempt));
  }

  async close(): Promise<void> {}

  /** Breaks the connections of a dead process. The server notices some time later. */
  abandon(): void {
    for (const connection of this.connections) connection.destroy();
  }

  private once<T>(packet: string, work: (database: ModelDatabase) => T): Promise<T> {
    return this.connected((connection) => connection.exchange<T>(packet, (_session, reply) => reply({ value: work(this.database) })));
  }

  private async connected<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    await this.place();
    try {
      const connection = await Connection.open(this.client, this.database, this.network);
      this.connections.add(connection);
      try {
        const value = await work(connection);
        connection.release();
        return value;
      } catch (error) {
        connection.destroy();
        throw error;
      } finally {
        this.connections.delete(connection);
      }
    } finally {
      this.taken -= 1;
      this.waiting.shift()?.();
    }
  }

  /** Waits until the node has less than CONNECTIONS connections. Rejects after WAIT_FOR_CONNECTION_MS. */
  private async place(): Promise<void> {
    if (this.taken >= CONNECTIONS) {
      await new Promise<void>((resolve, reject) => {
        this.waiting.push(resolve);
        this.database.scheduler.after(this.client, WAIT_FOR_CONNECTION_MS, () => {
          const at = this.waiting.indexOf(resolve);
          if (at < 0) return;
          this.waiting.splice(at, 1);
          reject(noAnswer());
        });
      });
    }
    this.taken += 1;
  }
}

/** Copies the writes, as SQL text would: later changes in memory must not change a sent packet. */
function sent(writes: TickWrites): TickWrites {
  return { ...writes, budgets: writes.budgets.map((budget): LockedBudget => ({ ...budget })) };
}
