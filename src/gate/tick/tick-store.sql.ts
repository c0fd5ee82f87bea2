import type { Clock } from '../../db/clock';
import type { CredentialRef, Credential } from '../call';
import { tickOf, type SingleHoldRow, type TickHoldsRow, type TickState, type TickWrites } from './rows';
import type { TickConnection, TickConnections } from './tick-connection';
import { toCredentials } from './tick-credentials';
import {
  isOpen,
  openHoldsOf,
  singleHoldOf,
  staleAttempts,
  toActions,
  toBudgets,
  toClaims,
  toEnded,
  toMarks,
  toRoutes,
  type OpenMarks,
  type SqlRow,
} from './tick-reads';
import { TickSql, type TickRead } from './tick-dialect';
import { TickFailure, type TickNeeds, type TickStore } from './tick-store';

/** Runs ticks in SQL on any supported database. Most ticks need two round trips: one to lock and read, one to write and commit. */
export class SqlTickStore implements TickStore {
  readonly maxBytes: number;
  private readonly sql: TickSql;

  constructor(
    private readonly connections: TickConnections,
    private readonly clock: Clock,
  ) {
    this.maxBytes = connections.maxBytes;
    this.sql = new TickSql(connections.dialect);
  }

  async findCredentials(credentials: CredentialRef[]): Promise<Map<string, Credential>> {
    try {
      const reads = [...this.sql.credentials(credentials)].map(
        async ([kind, select]) => [kind, await this.connections.read(select)] as const,
      );
      const rowsOf = new Map(await Promise.all(reads));
      return toCredentials(credentials, (kind) => rowsOf.get(kind) ?? []);
    } catch (error) {
      throw new TickFailure(false, error);
    }
  }

  async transact(needs: TickNeeds, { waits }: { waits: boolean }, decide: (state: TickState) => TickWrites): Promise<void> {
    const connection = await this.connections.open().catch((error: unknown) => {
      throw new TickFailure(false, error);
    });
    let committing = false;
    try {
      const { state, marks } = await this.read(connection, needs, waits);
      const writes = this.sql.writes(decide(state), marks);
      committing = true;
      await connection.commit(writes);
      connection.release();
    } catch (error) {
      connection.destroy();
      // Once COMMIT was sent, only an error that the database itself answers proves that nothing was committed
      throw new TickFailure(committing && !this.connections.isAnswer(error), error);
    }
  }

  close(): Promise<void> {
    return this.connections.close();
  }

  private async read(connection: TickConnection, needs: TickNeeds, waits: boolean): Promise<{ state: TickState; marks: OpenMarks }> {
    const reads = this.sql.reads(needs, waits);
    const results = await connection.begin([...reads.values()]);
    const rowsOf = new Map([...reads.keys()].map((name, place) => [name, results[place] as SqlRow[]]));
    const rows = (name: TickRead): SqlRow[] => rowsOf.get(name) ?? [];

    const [time] = rows('now');
    const marks = toMarks(rows('marks'));
    const singleHolds = new Map(rows('singleHolds').map((row) => [row.id as string, Number(row.expiresAt)]));
    const state: TickState = {
      nowUs: time ? this.clock.fromDatabase(Number(time.now)) : this.clock.fromProcess(),
      credentials: toCredentials(needs.credentials, rows),
      actions: toActions(rows('actions')),
      budgets: toBudgets(rows('budgets')),
      claims: toClaims(rows('claims')),
      lockedHolds: new Set(),
      routes: toRoutes(rows('routes')),
      openHolds: new Set(needs.attempts.filter((attempt) => isOpen(marks, attempt) || singleHolds.has(attempt))),
      singleHolds,
      staleHolds: new Map(),
      ended: new Map(),
    };
    await this.readMore(connection, needs, state, marks);
    return { state, marks };
  }

  /**
   * Reads more for ticks that need it: the log rows of attempts with a closed hold, and the holds of expired claims.
   * Skips the round trip if there are neither.
   */
  private async readMore(connection: TickConnection, { attempts }: TickNeeds, state: TickState, marks: OpenMarks): Promise<void> {
    const notOpen = attempts.filter((attempt) => !state.openHolds.has(attempt));
    const stale = staleAttempts(state.claims, state.nowUs);
    if (notOpen.length === 0 && stale.length === 0) return;
    const answers = (await connection.ask(this.sql.moreReads(notOpen, stale))) as [SqlRow[], SqlRow[], SqlRow[], SqlRow[]];
    const [locked, ended, ticks, singles] = answers;
    const lockedTicks = new Set(locked.map((row) => row.id).filter((tick) => !marks.has(tick as string)));
    state.lockedHolds = new Set(notOpen.filter((attempt) => lockedTicks.has(tickOf(attempt))));
    state.ended = toEnded(ended);
    for (const [tick, text] of toMarks(ticks)) marks.set(tick, text);
    const staleSingles = (singles as unknown as SingleHoldRow[]).map(singleHoldOf);
    for (const { attempt, expiresAt } of staleSingles) state.singleHolds.set(attempt, expiresAt);
    for (const hold of [...(ticks as unknown as TickHoldsRow[]).flatMap(openHoldsOf), ...staleSingles]) {
      if (!stale.includes(hold.attempt)) continue;
      state.staleHolds.set(hold.attempt, hold);
      state.openHolds.add(hold.attempt);
    }
  }
}
