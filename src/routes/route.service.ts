import { IsNull, type EntityManager } from 'typeorm';
import type { z } from 'zod';
import { Setting } from '../access/installation.entity';
import { recordEvent, type Origin } from '../audit/record-event';
import { writeChanges } from '../audit/write-changes';
import { locked, type Database } from '../db/database';
import { requireVersion } from '../db/versions';
import { conflict, invalid, notFound, validate } from '../errors';
import { newId } from '../lib/id';
import { MAX_ROUTES } from './limits';
import { reachOf } from './methods';
import { parametersOf, shapeOf } from './paths';
import { Route } from './route.entity';
import { createRule, deleteRule, updateRule } from './route.rules';

/**
 * The name of the setting that counts the changes of routes. Each change locks it, so changes follow one another. Each process reads it to
 * see whether its table is current.
 */
export const ROUTES_REVISION = 'routes-revision';

export interface RouteServiceDeps {
  database: Database;
  /** Returns the action with its prices by unit, or null. */
  actionOf(tx: EntityManager, id: string): Promise<{ unitPrices: readonly { unit: string }[] } | null>;
  /** Called after the commit of each change. Resolves when this process matches requests by the changed routes. */
  changed(): Promise<void>;
}

/** Creates, changes and deletes the routes of the installation. Other processes follow within a second. */
export class RouteService {
  constructor(private readonly deps: RouteServiceDeps) {}

  /**
   * Creates a route. Throws the errors of `requireAction`, and CONFLICT if another route matches the same requests or if there are
   * already MAX_ROUTES.
   */
  create(origin: Origin, raw: z.input<typeof createRule>): Promise<Route> {
    const input = validate(createRule, raw, 'input');
    requireParameters(input);
    return this.change(async (tx, at) => {
      if ((await tx.count(Route)) >= MAX_ROUTES)
        throw conflict(`There are already ${MAX_ROUTES} routes. Delete one first, or replace several by one with parameters or *.`);
      const route = Object.assign(new Route(), input, { id: newId('rte', at.getTime()), version: 1, createdAt: at });
      await this.requireAction(tx, route);
      await requireNoTwin(tx, route);
      await tx.insert(Route, { ...route });
      await recordEvent(tx, { ...origin, action: 'route.created', subject: { id: route.id, workspaceId: null }, after: input, at });
      return route;
    });
  }

  /** Changes the given properties. Throws CONFLICT if the version is not the expected one, and the errors of `create`. */
  update(origin: Origin, raw: z.input<typeof updateRule>): Promise<Route> {
    const { id, expectedVersion, ...changes } = validate(updateRule, raw, 'input');
    return this.change(async (tx, at) => {
      const route = await locked(tx, Route, { id });
      requireVersion(expectedVersion, route);
      const changed = Object.assign(new Route(), route, changes);
      requireParameters(changed);
      if (changes.actionId !== undefined || changes.usage !== undefined) await this.requireAction(tx, changed);
      await requireNoTwin(tx, changed);
      const event = { ...origin, action: 'route.updated', subject: { id, workspaceId: null }, at };
      return writeChanges(tx, Route, { id }, route, changes, event);
    });
  }

  /** Deletes a route and returns it. Throws NOT_FOUND if it does not exist. */
  delete(origin: Origin, raw: z.input<typeof deleteRule>): Promise<Route> {
    const { id } = validate(deleteRule, raw, 'input');
    return this.change(async (tx, at) => {
      const route = await locked(tx, Route, { id });
      await tx.delete(Route, { id });
      const { id: _id, version: _version, createdAt: _createdAt, ...before } = route;
      await recordEvent(tx, { ...origin, action: 'route.deleted', subject: { id, workspaceId: null }, before, after: null, at });
      return route;
    });
  }

  /** Runs a change while no other change of routes runs, and counts it in its transaction. */
  private async change(work: (tx: EntityManager, at: Date) => Promise<Route>): Promise<Route> {
    const { database, changed } = this.deps;
    const route = await database.transaction(async (tx) => {
      const revision = await locked(tx, Setting, { name: ROUTES_REVISION });
      const result = await work(tx, await database.now(tx));
      await tx.update(Setting, { name: ROUTES_REVISION }, { value: String(Number(revision.value) + 1) });
      return result;
    });
    await changed();
    return route;
  }

  /** Throws NOT_FOUND for an unknown action, and INVALID_REQUEST if the route reads units but none that the action prices. */
  private async requireAction(tx: EntityManager, { actionId, usage }: Pick<Route, 'actionId' | 'usage'>): Promise<void> {
    const { unitPrices } = (await this.deps.actionOf(tx, actionId)) ?? notFound();
    const priced = unitPrices.map(({ unit }) => unit);
    if (priced.length === 0 || usage.length === 0 || usage.some(({ unit }) => priced.includes(unit))) return;
    throw invalid({ path: ['input', 'usage'], message: `has no unit that the action prices; use at least one of ${priced.join(', ')}` });
  }
}

/** Throws INVALID_REQUEST if the path at the upstream has a parameter that the path of the requests does not have. */
function requireParameters({ path, upstreamPath }: Pick<Route, 'path' | 'upstreamPath'>): void {
  const known = parametersOf(path);
  const unknown = parametersOf(upstreamPath ?? '').filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const names = unknown.map((name) => (name === '*' ? name : `:${name}`)).join(', ');
  throw invalid({ path: ['input', 'upstreamPath'], message: `has ${names}, which the path does not have; use only its parameters` });
}

/** Throws CONFLICT if another route, enabled or not, has the same host and path shape, and a common method. */
async function requireNoTwin(tx: EntityManager, { id, host, path, methods }: Route): Promise<void> {
  const shape = shapeOf(path);
  const reach = reachOf(methods);
  const others = await tx.find(Route, { where: { host: host ?? IsNull() }, select: { id: true, path: true, methods: true } });
  const twin = others.find((other) => {
    if (other.id === id || shapeOf(other.path) !== shape) return false;
    const otherReach = reachOf(other.methods);
    return !reach || !otherReach || reach.some((method) => otherReach.includes(method));
  });
  if (twin) throw conflict(`The route ${twin.id} matches the same requests. Change that route, or choose another host, path or method.`);
}
