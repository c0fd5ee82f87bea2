import { routeKey, type ActionFacts, type CredentialRef, type Credential } from '../../src/gate/call';
import { actionKey, type TickNeeds } from '../../src/gate/tick/tick-store';
import { claimKey, type EndedAttempt, type HoldRow, type LockedBudget, type TickState, type TickWrites } from '../../src/gate/tick/rows';
import { DatabaseClock } from './database-clock';
import { serverSays, type DatabaseError } from './database-errors';
import type { Owner, Scheduled, Scheduler } from './scheduler';
import { Tables } from './tables';

const LOCK_WAIT_MS = 2_000;
/** A transaction is rolled back if its client sends nothing for this long. */
const WAIT_TIMEOUT_MS = 10_000;
export const NO_LIMIT = { sustainedRps: 1e6, burst: 1e6 };
export const SERVICE = 'simulated';
export const WORKSPACE = 'ws_1';

/** The server's side of one connection, with its transaction. */
export class Session {
  closed = false;
  inTransaction = false;
  /** True while it works on a packet. It does not notice then that its client has hung up. */
  busy = false;
  closing = false;
  /** Arrival time of the newest packet. Packets arrive in the order in which they were sent. */
  lastArrival = 0;
  idle: Scheduled | undefined;
  readonly locks = new Set<string>();
  /** Times and limits that the transaction read. The auditor checks its writes with them. */
  readAtUs = 0;
  nowUs = 0;
  readonly limits = new Map<string, { sustainedRps: number; burst: number }>();

  constructor(readonly client: string) {}
}

export type Reply<T> = (answer: { value: T } | { error: DatabaseError }) => void;

/** Is told of each commit at the moment of the commit. */
export interface CommitObserver {
  tickCommitted(session: Session, writes: TickWrites): void;
  accountsChanged(ids: string[]): void;
}

interface Waiter {
  session: Session;
  granted(): void;
}

/** A model of a database server with what the gate depends on: READ COMMITTED, row locks, transactions that die. */
export class ModelDatabase implements Owner {
  readonly name = 'database';
  dead = false;
  suspendedUntil = 0;
  /** Called after each committed tick, before its client is told. */
  afterCommit: (client: string) => void = () => undefined;
  /** Time until which it refuses connections. */
  downUntil = 0;
  readonly tables = new Tables();
  readonly clock: DatabaseClock;
  private readonly sessions = new Set<Session>();
  private readonly lockOwners = new Map<string, Session>();
  private readonly waiters = new Map<string, Waiter[]>();

  constructor(
    readonly scheduler: Scheduler,
    private readonly observer: CommitObserver,
  ) {
    this.clock = new DatabaseClock(scheduler);
  }

  /** Opens a session. Returns undefined while the server is down. */
  connect(client: string): Session | undefined {
    if (this.scheduler.now < this.downUntil) return undefined;
    const session = new Session(client);
    this.sessions.add(session);
    return session;
  }

  /** Lets a packet reach the server after `delayMs`. Calls `lost` instead of `work` if its session is closed by then. */
  deliver(session: Session, delayMs: number, work: () => void, lost: () => void): void {
    this.arrive(session, delayMs, () => {
      if (session.closed) return lost();
      session.idle?.cancel();
      session.busy = true;
      work();
    });
  }

  /** Notes that the server has answered a packet. */
  answered(session: Session): void {
    session.busy = false;
    if (session.closing) this.close(session);
    else if (session.inTransaction) session.idle = this.scheduler.after(this, WAIT_TIMEOUT_MS, () => this.close(session));
  }

  /** Tells the server that a client has hung up: after `delayMs`, and after the client's earlier packets. */
  hangUp(session: Session, delayMs: number): void {
    this.arrive(session, delayMs, () => {
      if (session.busy) session.closing = true;
      else this.close(session);
    });
  }

  private arrive(session: Session, delayMs: number, work: () => void): void {
    session.lastArrival = Math.max(session.lastArrival, this.scheduler.now + delayMs);
    const { lastArrival } = session;
    // Two packets of one session never have the same time, because the order of equal times is random.
    session.lastArrival += 1e-6;
    this.scheduler.after(this, lastArrival - this.scheduler.now, work);
  }

  /** Rolls a session back, frees its locks and closes it. */
  close(session: Session): void {
    if (session.closed) return;
    session.closed = true;
    this.sessions.delete(session);
    this.rollBack(session);
  }

  rollBack(session: Session): void {
    session.inTransaction = false;
    session.idle?.cancel();
    for (const waiters of this.waiters.values()) remove(waiters, (waiter) => waiter.session === session);
    for (const name of session.locks) this.unlock(name);
    session.locks.clear();
  }

  /** Stops the server for `downMs`. Every uncommitted transaction is lost. */
  crash(downMs: number): void {
    this.scheduler.note(`database crashes for ${downMs.toFixed(0)} ms`);
    this.downUntil = this.scheduler.now + downMs;
    for (const session of [...this.sessions]) this.close(session);
  }

  /** Takes a lock, or calls `done(false)` after LOCK_WAIT_MS. Calls nothing once the session is closed. */
  lock(session: Session, name: string, done: (locked: boolean) => void): void {
    session.inTransaction = true;
    if (session.locks.has(name) || this.tryLock(session, name)) return done(true);
    const waiters = this.waiters.get(name) ?? [];
    this.waiters.set(name, waiters);
    const timeout = this.scheduler.after(this, LOCK_WAIT_MS, () => {
      if (remove(waiters, (waiter) => waiter === entry)) done(false);
    });
    const entry: Waiter = {
      session,
      granted: () => {
        timeout.cancel();
        done(true);
      },
    };
    waiters.push(entry);
  }

  private tryLock(session: Session, name: string): boolean {
    if (this.lockOwners.has(name)) return false;
    this.lockOwners.set(name, session);
    session.locks.add(name);
    return true;
  }

  private unlock(name: string): void {
    this.lockOwners.delete(name);
    const next = this.waiters.get(name)?.shift();
    if (!next) return;
    this.tryLock(next.session, name);
    this.scheduler.after(this, 0, () => {
      if (!next.session.closed) next.granted();
    });
  }

  /** The reads of a tick: locks the budgets and reads the rows that these locks guard. */
  begin(session: Session, needs: TickNeeds, waits: boolean, reply: Reply<TickState>): void {
    session.inTransaction = true;
    const names = [...needs.projectIds].sort();
    const next = (): void => {
      const name = names.shift();
      if (name === undefined) return reply({ value: this.read(session, needs) });
      if (waits) return this.lock(session, name, (locked) => (locked ? next() : reply({ error: serverSays(1205) })));
      this.tryLock(session, name);
      next();
    };
    next();
  }

  private read(session: Session, { projectIds, credentials, actions, routes, claims, attempts, singleHolds }: TickNeeds): TickState {
    const { tables } = this;
    session.readAtUs = this.clock.forwardUs();
    session.nowUs = this.clock.nowUs();
    const budgets = new Map<string, LockedBudget>();
    for (const id of projectIds) {
      if (!session.locks.has(id)) continue;
      const { sustainedRps, burst } = tables.projects.get(id) ?? NO_LIMIT;
      session.limits.set(id, { sustainedRps, burst });
      budgets.set(id, { ...tables.account(id) });
    }
    const found = claims.flatMap((name) => tables.claims.get(claimKey(name)) ?? []);
    const singles = singleHolds.flatMap((attempt) => tables.singleHolds.get(attempt) ?? []);
    return {
      nowUs: this.clock.nowUs(),
      credentials: this.findCredentials(credentials),
      actions: new Map(
        actions
          .flatMap(({ action }) => this.actionOf(action) ?? [])
          .map((action) => [actionKey({ service: SERVICE, action: action.name }), action]),
      ),
      budgets,
      claims: new Map(found.map((claim) => [claimKey(claim), { ...claim, answer: claim.answer === null ? null : '' }])),
      routes: new Set(routes.flatMap((id) => tables.routes.get(id) ?? []).flatMap((route) => (route.enabled ? [routeKey(route)] : []))),
      openHolds: new Set([...attempts.filter((attempt) => tables.holds.has(attempt)), ...singles.map(({ attempt }) => attempt)]),
      singleHolds: new Map(singles.map(({ attempt, expiresAt }) => [attempt, expiresAt])),
      lockedHolds: new Set(),
      staleHolds: new Map(),
      ended: new Map(),
    };
  }

  /** Returns the present keys, by the digests of their secrets. */
  findCredentials(credentials: CredentialRef[]): Map<string, Credential> {
    return new Map(credentials.flatMap(({ digest }) => this.factsOf(digest) ?? []).map((key) => [key.digest, key]));
  }

  private factsOf(digest: string): Credential | undefined {
    const { secrets, keys, projects } = this.tables;
    const secret = secrets.get(digest);
    const key = secret && keys.get(secret.keyId);
    const project = key && projects.get(key.projectId);
    if (!project) return undefined;
    return {
      credentialKind: 'API_KEY',
      digest,
      namedProjectId: null,
      scopes: null,
      secretGraceUntil: secret.graceUntil,
      secretEndedAt: secret.endedAt,
      id: key.keyId,
      name: key.keyId,
      projectId: key.projectId,
      environment: key.environment,
      enabled: key.enabled,
      revokedAt: key.revokedAt,
      permissions: ['run'],
      allowedIps: [],
      expiresAt: null,
      workspaceId: WORKSPACE,
      galleryMode: 'ISOLATED',
      archivedAt: project.archivedAt,
      limit: { sustainedRps: project.sustainedRps, burst: project.burst },
    };
  }

  private actionOf(name: string): ActionFacts | undefined {
    const action = this.tables.actions.get(name);
    if (!action?.enabled) return undefined;
    const { enabled: _enabled, ...facts } = action;
    return { ...facts, service: SERVICE, permission: 'run', upstreamUrl: null, passStatuses: [] };
  }

  /** The second packet of a tick's reads: how attempts ended, and expired holds. */
  readMore(
    attempts: string[],
    stale: string[],
    reply: Reply<{ ended: Map<string, EndedAttempt>; staleHolds: Map<string, HoldRow> }>,
  ): void {
    const { logs, holds, singleHolds } = this.tables;
    const ended = attempts.flatMap((attempt) => logs.get(attempt) ?? []);
    const staleHolds = stale.flatMap((attempt) => holds.get(attempt) ?? singleHolds.get(attempt) ?? []);
    reply({
      value: {
        ended: new Map(ended.map(({ id, outcome, chargedMicroCredits }) => [id, { outcome, chargedMicroCredits }])),
        staleHolds: new Map(staleHolds.map((hold) => [hold.attempt, hold])),
      },
    });
  }

  /** The writes of a tick and its COMMIT. */
  commit(session: Session, writes: TickWrites, reply: Reply<void>): void {
    if (writes.claims.some(({ answer }) => answer?.includes(POISON))) return reply({ error: serverSays(1366) });
    const impossible = this.refuses(session, writes);
    if (impossible) {
      // No simulated fault leads here, so the gate has made a wrong decision.
      this.scheduler.fail(`the database had to refuse a tick: ${impossible}`);
      return reply({ error: serverSays(3819) });
    }
    this.write(writes);
    this.scheduler.note(`${session.client} commits ${summary(writes)}`);
    this.observer.tickCommitted(session, writes);
    this.afterCommit(session.client);
    this.rollBack(session); // only frees the locks, because everything is written
    reply({ value: undefined });
  }

  private refuses(session: Session, { budgets, holds, logs }: TickWrites): string | undefined {
    for (const { id, balance, held } of budgets) {
      if (!session.locks.has(id)) return `it writes the budget of ${id} without its lock`;
      if (held < 0 || balance < held) return `${id} would have ${balance}, of which ${held} held`;
    }
    for (const { attempt, userAgent } of holds) if (this.tables.holds.has(attempt)) return `${String(userAgent)} already has a hold`;
    for (const { id, userAgent } of logs) if (this.tables.logs.has(id)) return `${String(userAgent)} already has a log row`;
    return undefined;
  }

  private write(writes: TickWrites): void {
    const { accounts, holds, singleHolds, holdNumbers, claims, logs, entries, refusalCounts } = this.tables;
    for (const budget of writes.budgets) accounts.set(budget.id, { ...budget });
    for (const attempt of writes.endedHolds) holds.delete(attempt);
    for (const ended of writes.endedClaims) if (claims.get(claimKey(ended))?.attempt === ended.attempt) claims.delete(claimKey(ended));
    for (const hold of writes.holds) {
      holds.set(hold.attempt, { ...hold });
      holdNumbers.set(hold.attempt, holdNumbers.size);
    }
    for (const attempt of writes.endedSingleHolds) singleHolds.delete(attempt);
    for (const hold of writes.singleHolds) {
      singleHolds.set(hold.attempt, { ...hold });
      if (!holdNumbers.has(hold.attempt)) holdNumbers.set(hold.attempt, holdNumbers.size);
    }
    for (const log of writes.logs) logs.set(log.id, { ...log });
    for (const entry of writes.entries) entries.get(entry.accountId)?.push({ ...entry });
    for (const claim of writes.claims) claims.set(claimKey(claim), { ...claim });
    for (const { credentialId, calls } of writes.refusalCounts)
      refusalCounts.set(credentialId, (refusalCounts.get(credentialId) ?? 0) + calls);
  }

  /** Commits an administrator's transaction. */
  administered(session: Session, accounts: string[]): void {
    this.observer.accountsChanged(accounts);
    this.close(session);
  }
}

function remove<T>(list: T[], matches: (item: T) => boolean): boolean {
  const at = list.findIndex(matches);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}

/** The server refuses to store an answer that contains this text. */
export const POISON = 'POISON';

function summary({ holds, logs, singleHolds, endedHolds, endedSingleHolds, refusalCounts }: TickWrites): string {
  const names = [
    ...holds.map(({ userAgent }) => `${String(userAgent)} held`),
    ...singleHolds.map(({ userAgent }) => `${String(userAgent)} has a row`),
    ...logs.map(({ userAgent, outcome, errorCode }) => `${String(userAgent)} ${outcome}${errorCode === null ? '' : ` ${errorCode}`}`),
  ];
  const moved = new Set(singleHolds.map(({ attempt }) => attempt));
  const ended = [...endedHolds, ...endedSingleHolds].filter((attempt) => !moved.has(attempt)).length;
  const ends = ended > 0 ? ` ${ended} holds end` : '';
  return `[${names.join(', ')}]${ends}${refusalCounts.length > 0 ? ' counts' : ''}`;
}
