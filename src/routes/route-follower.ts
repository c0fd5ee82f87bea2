import { setImmediate as nextTurn } from 'node:timers/promises';
import { MoreThan } from 'typeorm';
import { Setting } from '../access/installation.entity';
import type { Database } from '../db/database';
import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import { RouteTable, type Match } from './route-table';
import { Route } from './route.entity';
import { ROUTES_REVISION } from './route.service';

/** How often a process looks for changed routes. */
const ROUTES_POLL_MS = 500;
/** SQLite reads block the event loop, so a process reads a part of the routes in each turn. */
const READ_AT_ONCE = 100;

export interface RouteFollowerDeps {
  database: Database;
  /** The names of these actions, by id. Names never change. */
  actionNames(ids: readonly string[]): Promise<ReadonlyMap<string, ActionName>>;
  log: Log;
}

export interface ActionName {
  service: string;
  name: string;
}

/** A request that matches a route, with the action that prices it. */
export type RoutedRequest = Extract<Match, { kind: 'route' }> & { action: ActionName };
export type RoutedMatch = RoutedRequest | Exclude<Match, { kind: 'route' }>;

/**
 * Keeps the route table of this process current, within a second of a change on any node. While the database is away, the last table stays
 * in use.
 */
export class RouteFollower extends Repeated {
  private current = RouteTable.EMPTY;
  private actions: ReadonlyMap<string, ActionName> = new Map();
  /** The revision that the current table has at least. */
  private revision: string | undefined;
  private reading: Promise<void> | undefined;
  private next: Promise<void> | undefined;

  constructor(private readonly deps: RouteFollowerDeps) {
    super({ intervalMs: ROUTES_POLL_MS, failed: (error) => deps.log.warn({ err: error }, 'reading the routes failed') });
  }

  get table(): RouteTable {
    return this.current;
  }

  /** Finds the route of a request in the current table. See RouteTable.match. */
  match(method: string, host: string | undefined, rawUrl: string): RoutedMatch {
    const match = this.current.match(method, host, rawUrl);
    if (match.kind !== 'route') return match;
    const action = this.actions.get(match.route.actionId);
    return action ? { ...match, action } : { kind: 'noRoute' };
  }

  /** Reads the routes if they have changed. */
  async once(): Promise<void> {
    if ((await this.readRevision()) !== this.revision) await this.reload();
  }

  /**
   * Reads the routes anew. Resolves with a table that has every change that was committed before this call. Callers that arrive during a
   * reload share the next one: the present one may have read the routes before their change.
   */
  reload(): Promise<void> {
    if (this.reading) {
      this.next ??= this.reading
        .catch(() => undefined) // this failure belongs to the earlier callers
        .then(() => {
          this.next = undefined;
          return this.reload();
        });
      return this.next;
    }
    this.reading = this.read().finally(() => (this.reading = undefined));
    return this.reading;
  }

  private async read(): Promise<void> {
    const revision = await this.readRevision(); // first, so that a change during the reads is found by the next poll
    const routes: Route[] = [];
    for (let after = '', page: Route[]; ; after = page.at(-1)?.id as string) {
      const where = { id: MoreThan(after) };
      page = await this.deps.database.lookups.find(Route, { where, order: { id: 'ASC' }, take: READ_AT_ONCE });
      routes.push(...page);
      if (page.length < READ_AT_ONCE) break;
      await nextTurn();
    }
    const actions = await this.deps.actionNames([...new Set(routes.map(({ actionId }) => actionId))]);
    this.current = await RouteTable.of(routes);
    this.actions = actions;
    this.revision = revision;
  }

  private async readRevision(): Promise<string | undefined> {
    return (await this.deps.database.lookups.findOneBy(Setting, { name: ROUTES_REVISION }))?.value;
  }
}
