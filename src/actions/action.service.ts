import { In, type EntityManager } from 'typeorm';
import { z } from 'zod';
import { systemAuthority } from '../access/authority';
import { ADMINISTRATIVE_PERMISSIONS, isActionPermission, type Permission } from '../access/permissions';
import { recordEvent, type Origin } from '../audit/record-event';
import { writeChanges } from '../audit/write-changes';
import { locked, type Database } from '../db/database';
import { isDuplicate } from '../db/failures';
import { expectedVersionRule, requireVersion } from '../db/versions';
import { conflict, invalid, validate } from '../errors';
import { newId } from '../lib/id';
import { idRule, priceRule, unique } from '../lib/rules';
import { Action } from './action.entity';
import { BUILT_IN_ACTIONS, findBuiltInAction } from './built-in';
import { unitPricesRule } from './unit-prices';

/** The form of a service in a path. */
export const SERVICE_PATTERN = /^[a-z][a-z0-9-]{0,62}$/;
/** The form of an action's name. */
export const ACTION_PATTERN = /^[A-Za-z][A-Za-z0-9_.-]{0,127}$/;
/** Path segments that Tollgate uses for its routes, or will use. */
export const RESERVED_SERVICES: readonly string[] = ['keys', 'holds', 'audit', 'export', 'forward-auth', 'secret-scanning'];

const serviceRule = z
  .string()
  .regex(SERVICE_PATTERN, 'must be 1 to 63 characters of a-z, 0-9 and -; the first is a letter')
  .refine((service) => !RESERVED_SERVICES.includes(service), 'is reserved; choose another name');

const permissionRule = z
  .string()
  .refine(
    isActionPermission,
    'must be words of letters, digits, - and _ joined by dots, such as face.detect; ' +
      'must not begin with read, write, verify, admin or webhook; must not be a scope of OpenID Connect',
  );

const upstreamUrlRule = z
  .string()
  .max(2000, 'must be at most 2,000 characters')
  .refine((text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return (url?.protocol === 'https:' || url?.protocol === 'http:') && url.username === '' && url.password === '' && url.hash === '';
  }, 'must be an http or https URL without credentials or a fragment');

/** The longest time limit of an action. */
export const MAX_TIMEOUT_MS = 300_000;
const timeoutRule = z
  .int('must be a whole number of milliseconds')
  .min(100, 'must be at least 100')
  .max(MAX_TIMEOUT_MS, 'must be at most 300,000');

/** The HTTP statuses that an action can pass on to the caller if its upstream refuses a call with them. */
export const PASSABLE_STATUSES: readonly number[] = [400, 403, 404, 409, 410, 422, 429];

const passStatusesRule = z
  .array(z.number().refine((status) => PASSABLE_STATUSES.includes(status), `must be one of ${PASSABLE_STATUSES.join(', ')}`))
  .transform((statuses) => unique(statuses).sort());

const createRule = z.object({
  service: serviceRule,
  name: z.string().regex(ACTION_PATTERN, 'must be 1 to 128 letters, digits, _, . and -; the first is a letter'),
  priceMicroCredits: priceRule,
  unitPrices: unitPricesRule.default([]),
  maxChargeMicroCredits: priceRule.nullable().default(null),
  permission: permissionRule,
  upstreamUrl: upstreamUrlRule.nullable().default(null),
  timeoutMs: timeoutRule.default(30_000),
  passStatuses: passStatusesRule.default([]),
});

const updateRule = z.object({
  id: idRule,
  priceMicroCredits: priceRule.optional(),
  unitPrices: unitPricesRule.optional(),
  maxChargeMicroCredits: priceRule.nullable().optional(),
  permission: permissionRule.optional(),
  upstreamUrl: upstreamUrlRule.optional(),
  timeoutMs: timeoutRule.optional(),
  passStatuses: passStatusesRule.optional(),
  enabled: z.boolean().optional(),
  expectedVersion: expectedVersionRule,
});

/** The catalogue of billable actions. */
export class ActionService {
  constructor(private readonly database: Database) {}

  /** Adds missing built-in actions to the catalogue. Several processes may run it at the same time. */
  async ensureBuiltIns(): Promise<void> {
    for (const { id, service, name, priceMicroCredits, permission, timeoutMs } of BUILT_IN_ACTIONS) {
      if (await this.database.reader.existsBy(Action, { id })) continue;
      const values = { service, name, priceMicroCredits, permission, timeoutMs };
      try {
        await this.database.transaction(async (tx) => {
          const at = await this.database.now(tx);
          await tx.insert(Action, { id, ...values, upstreamUrl: null, enabled: true, createdAt: at });
          await recordEvent(tx, {
            ...systemAuthority('installation'),
            action: 'action.created',
            subject: { id, workspaceId: null },
            after: values,
            at,
          });
        });
      } catch (error) {
        if (!isDuplicate(error)) throw error; // another process added it first
      }
    }
  }

  /** Creates an action. Calls may run it at once. Throws CONFLICT if the service has an action with this name. */
  async create(origin: Origin, raw: z.input<typeof createRule>): Promise<Action> {
    const input = validate(createRule, raw, 'input');
    requireMaxCharge(input);
    try {
      return await this.database.transaction(async (tx) => {
        const at = await this.database.now(tx);
        const action = Object.assign(new Action(), input, { id: newId('act', at.getTime()), enabled: true, version: 1, createdAt: at });
        await tx.insert(Action, action);
        await recordEvent(tx, { ...origin, action: 'action.created', subject: { id: action.id, workspaceId: null }, after: input, at });
        return action;
      });
    } catch (error) {
      throw isDuplicate(error) ? conflict('This service already has an action with this name. Choose another name.') : error;
    }
  }

  /**
   * Changes the given properties, from the next call on. Throws CONFLICT if an expected version is given and is not the current one.
   * Throws INVALID_REQUEST for the upstreamUrl of a built-in action, which has none.
   */
  async update(origin: Origin, raw: z.input<typeof updateRule>): Promise<Action> {
    const { id, expectedVersion, ...changes } = validate(updateRule, raw, 'input');
    return this.database.transaction(async (tx) => {
      const action = await locked(tx, Action, { id });
      requireVersion(expectedVersion, action);
      for (const property of ['upstreamUrl', 'passStatuses'] as const) {
        if (!changes[property] || !isBuiltIn(action)) continue;
        throw invalid({ path: ['input', property], message: 'cannot be given to a built-in action' });
      }
      requireMaxCharge({ ...action, ...changes });
      const event = { ...origin, action: 'action.updated', subject: { id, workspaceId: null }, at: await this.database.now(tx) };
      return writeChanges(tx, Action, { id }, action, changes, event);
    });
  }

  /** The service and name of these actions, by id. They never change. */
  async namesOf(ids: readonly string[]): Promise<Map<string, Pick<Action, 'service' | 'name'>>> {
    const select = { id: true, service: true, name: true };
    const actions = await this.database.lookups.find(Action, { select, where: { id: In([...ids]) } });
    return new Map(actions.map((action) => [action.id, action]));
  }

  /** All permissions that can be granted: each action's permission once, and the administrative permissions. */
  async permissions(manager: EntityManager = this.database.reader): Promise<Permission[]> {
    const actions = await manager.find(Action, {
      select: { service: true, name: true, permission: true },
      order: { permission: 'ASC', service: 'ASC', name: 'ASC' },
    });
    const guarded = new Map<string, string[]>();
    for (const { permission, service, name } of actions) {
      guarded.set(permission, [...(guarded.get(permission) ?? []), `${service}/${name}`]);
    }
    const ofActions = [...guarded].map(([name, names]) => ({ name, description: `Run ${names.join(', ')}.` }));
    return [...ofActions, ...ADMINISTRATIVE_PERMISSIONS];
  }
}

/** Throws INVALID_REQUEST if a call could reserve less than it costs for certain, or if unit prices have no maximum. */
function requireMaxCharge({ priceMicroCredits, unitPrices, maxChargeMicroCredits }: PriceOfAction): void {
  const path = ['input', 'maxChargeMicroCredits'];
  if (maxChargeMicroCredits === null) {
    if (unitPrices.length > 0) throw invalid({ path, message: 'is required with unit prices: say how many credits a call reserves' });
  } else if (maxChargeMicroCredits < priceMicroCredits) {
    throw invalid({ path, message: 'must be at least priceMicroCredits' });
  }
}

type PriceOfAction = Pick<Action, 'priceMicroCredits' | 'unitPrices' | 'maxChargeMicroCredits'>;

const isBuiltIn = ({ service, name }: Action): boolean => findBuiltInAction(service, name) !== undefined;
