import { In, type EntityManager } from 'typeorm';
import { z } from 'zod';
import { currentActor, type Authority } from '../access/authority';
import { graceSecondsRule, permissionsRule, requireGrantable, requireGrantsOf } from '../access/granting';
import type { Actor } from '../access/principal';
import { hintOf, mintSecret } from '../access/secret';
import { recordEvent } from '../audit/record-event';
import { difference, writeChanges } from '../audit/write-changes';
import { locked, type Database } from '../db/database';
import { expectedVersionRule, nextVersion, requireVersion } from '../db/versions';
import { TollgateError, conflict, notFound, validate } from '../errors';
import { newId } from '../lib/id';
import { idRule, nameRule, unique } from '../lib/rules';
import { DAY_MS, later } from '../lib/time';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { endSecrets, insertSecret } from './secrets';
import { ServiceAccount, ServiceAccountProject } from './service-account.entity';
import { MAX_ACCOUNT_PROJECTS, projectIdsOf } from './service-account.queries';

/** How old a secret may be meant to become. */
export const MAX_ROTATION_DAYS = 365;
/** The most service accounts of a workspace that are enabled; none of them is ever deleted. */
const MAX_SERVICE_ACCOUNTS = 1_000;
const DEFAULT_GRACE_SECONDS = 86_400;

const projectIdsRule = z.array(idRule).max(MAX_ACCOUNT_PROJECTS, `must be at most ${MAX_ACCOUNT_PROJECTS} projects`).transform(unique);
const rotationDaysRule = z
  .int('must be a whole number of days')
  .min(1, 'must be 1 or more')
  .max(MAX_ROTATION_DAYS, `must be at most ${MAX_ROTATION_DAYS}`);

const createRule = z.object({
  workspaceId: idRule,
  name: nameRule,
  permissions: permissionsRule,
  roleId: idRule.nullish(),
  projectIds: projectIdsRule,
  rotationDays: rotationDaysRule,
});

const updateRule = z.object({
  id: idRule,
  name: nameRule.optional(),
  permissions: permissionsRule.optional(),
  roleId: idRule.nullable().optional(),
  projectIds: projectIdsRule.optional(),
  rotationDays: rotationDaysRule.optional(),
  enabled: z.boolean().optional(),
  expectedVersion: expectedVersionRule,
});

const rotateRule = z.object({ id: idRule, graceSeconds: graceSecondsRule.default(DEFAULT_GRACE_SECONDS) });

const disableRule = z.object({ id: idRule });

export interface ServiceAccountServiceDeps {
  database: Database;
  digest(text: string): string;
  /** The names of every permission that there is. */
  knownPermissions(tx: EntityManager): Promise<string[]>;
}

/**
 * Service accounts and their secrets. Nobody makes, changes or rotates one that may do what they may not, and none does so to itself: a
 * secret that is to end soon would otherwise bring its bearer one that does not.
 */
export class ServiceAccountService {
  constructor(private readonly deps: ServiceAccountServiceDeps) {}

  /** A new service account and its secret, which is stored nowhere. NOT_FOUND for a project of another workspace, CONFLICT for an archived one, and where the workspace has as many as it may. */
  async create(origin: Authority, raw: z.input<typeof createRule>): Promise<{ serviceAccount: ServiceAccount; secret: string }> {
    const { projectIds, ...input } = validate(createRule, raw, 'input');
    const { workspaceId } = input;
    return this.deps.database.transaction(async (tx) => {
      const { keyPrefix } = await locked(tx, Workspace, { id: workspaceId });
      const actor = await currentActor(tx, origin, 'write.keys', { workspaceId });
      await this.requireRoom(tx, workspaceId);
      await requireGrantable(tx, { ...this.deps, actor, workspaceId }, input);
      await this.requireProjects(tx, projectIds, workspaceId);
      const at = await this.deps.database.now(tx);
      const secret = mintSecret(keyPrefix, 'SVC');
      const values = { ...input, permissions: unique(input.permissions), roleId: input.roleId ?? null, hint: hintOf(secret), enabled: true };
      const serviceAccount = Object.assign(new ServiceAccount(), values, {
        id: newId('svc', at.getTime()),
        rotationDueAt: dueAfter(at, input.rotationDays),
        rotationDueToldAt: null,
        rotatedAt: null,
        version: 1,
        createdAt: at,
      });
      await tx.insert(ServiceAccount, serviceAccount);
      await this.grantProjects(tx, serviceAccount.id, projectIds);
      await insertSecret(tx, serviceAccount.id, this.deps.digest(secret), at);
      await recordEvent(tx, { ...origin, action: 'service-account.created', subject: serviceAccount, after: { ...values, projectIds }, at });
      return { serviceAccount, secret };
    });
  }

  /**
   * Changes the given properties, of the version that is expected if any is; they count at once. Takes an actor who may grant all that the account may do, before and after: or who
   * has less could give such an account to itself.
   */
  async update(origin: Authority, raw: z.input<typeof updateRule>): Promise<ServiceAccount> {
    const { id, projectIds, expectedVersion, ...input } = validate(updateRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const account = await locked(tx, ServiceAccount, { id });
      const { workspaceId } = account;
      const actor = await this.requireAnother(tx, origin, account);
      await requireGrantable(tx, { ...this.deps, actor, workspaceId }, input, account.permissions);
      const granted = (await projectIdsOf([id], tx)).get(id) ?? [];
      const added = projectIds?.filter((projectId) => !granted.includes(projectId)) ?? [];
      await this.requireProjects(tx, added, workspaceId);
      requireVersion(expectedVersion, account);
      if (input.enabled && !account.enabled) {
        await locked(tx, Workspace, { id: workspaceId });
        await this.requireRoom(tx, workspaceId);
      }
      const at = await this.deps.database.now(tx);
      const permissions = input.permissions && { permissions: unique(input.permissions) };
      const { before, after } = difference<Partial<ServiceAccount> & { projectIds?: string[] }>(
        { ...account, projectIds: granted },
        { ...input, ...permissions, ...(projectIds && { projectIds: [...projectIds].sort() }) },
      );
      if (Object.keys(after).length === 0) return account;
      const { projectIds: regranted, ...columns } = after;
      const changes = { ...columns, ...rotationChanges(account, columns.rotationDays, at) };
      await tx.update(ServiceAccount, { id }, { ...changes, ...nextVersion });
      if (regranted) {
        const withdrawn = granted.filter((projectId) => !regranted.includes(projectId));
        if (withdrawn.length > 0) await tx.delete(ServiceAccountProject, { accountId: id, projectId: In(withdrawn) });
        await this.grantProjects(tx, id, added);
      }
      await recordEvent(tx, { ...origin, action: 'service-account.updated', subject: account, before, after, at });
      return Object.assign(account, changes, { version: account.version + 1 });
    });
  }

  /**
   * A new secret for the same account. The one before works until its grace is over, and those before that until theirs are, or this one's
   * where that is sooner: no rotation makes an old secret live longer, and one without grace ends them all.
   */
  async rotate(origin: Authority, raw: z.input<typeof rotateRule>): Promise<{ serviceAccount: ServiceAccount; secret: string }> {
    const { id, graceSeconds } = validate(rotateRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const account = await locked(tx, ServiceAccount, { id });
      await this.requireAnother(tx, origin, account);
      const at = await this.deps.database.now(tx);
      await endSecrets(tx, id, at.getTime(), graceSeconds);
      const { keyPrefix } = (await tx.findOneBy(Workspace, { id: account.workspaceId })) ?? notFound();
      const secret = mintSecret(keyPrefix, 'SVC');
      const rotationDueAt = dueAfter(at, account.rotationDays);
      const { before, after } = difference<Partial<ServiceAccount>>(account, { hint: hintOf(secret), rotatedAt: at, rotationDueAt });
      await insertSecret(tx, id, this.deps.digest(secret), at);
      const changes = { ...after, rotationDueToldAt: null };
      await tx.update(ServiceAccount, { id }, { ...changes, ...nextVersion });
      await recordEvent(tx, { ...origin, action: 'service-account.rotated', subject: account, before, after: { ...after, graceSeconds }, at });
      return { serviceAccount: Object.assign(account, changes, { version: account.version + 1 }), secret };
    });
  }

  /** Stops a service account at once, with all its secrets, until it is switched on again. Repeated, it changes nothing. */
  async disable(origin: Authority, raw: z.input<typeof disableRule>): Promise<ServiceAccount> {
    const { id } = validate(disableRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const account = await locked(tx, ServiceAccount, { id });
      await currentActor(tx, origin, 'write.keys', account);
      const event = { ...origin, action: 'service-account.disabled', subject: account, at: await this.deps.database.now(tx) };
      return writeChanges(tx, ServiceAccount, { id, enabled: true }, account, { enabled: false }, event);
    });
  }

  /** Who acts, where it is not the account itself and may grant all that the account may do. */
  private async requireAnother(tx: EntityManager, origin: Authority, account: ServiceAccount): Promise<Actor> {
    const actor = await currentActor(tx, origin, 'write.keys', account);
    if (actor.id === account.id) throw new TollgateError('FORBIDDEN', 'A service account neither changes nor rotates itself.');
    await requireGrantsOf(tx, actor, account);
    return actor;
  }

  /** Of whoever has the lock of the workspace. */
  private async requireRoom(tx: EntityManager, workspaceId: string): Promise<void> {
    const enabled = await tx.countBy(ServiceAccount, { workspaceId, enabled: true });
    if (enabled >= MAX_SERVICE_ACCOUNTS) throw conflict(`A workspace has at most ${MAX_SERVICE_ACCOUNTS} service accounts that are enabled.`);
  }

  /** One that is archived in this moment may still be granted: the gate refuses its calls all the same. */
  private async requireProjects(tx: EntityManager, ids: string[], workspaceId: string): Promise<void> {
    const projects = ids.length === 0 ? [] : await tx.findBy(Project, { id: In(ids), workspaceId });
    if (projects.length < ids.length) return notFound();
    if (projects.some(({ archivedAt }) => archivedAt !== null)) throw conflict('One of these projects is archived.');
  }

  private async grantProjects(tx: EntityManager, accountId: string, projectIds: string[]): Promise<void> {
    if (projectIds.length > 0) await tx.insert(ServiceAccountProject, projectIds.map((projectId) => ({ accountId, projectId })));
  }
}

const dueAfter = (at: Date, days: number): Date => later(at, days * DAY_MS);

/** What other rotation days do to an account: the age of its secret counts, and a time that is still to come will be told of. */
function rotationChanges({ rotatedAt, createdAt }: ServiceAccount, days: number | undefined, now: Date): Partial<ServiceAccount> {
  if (days === undefined) return {};
  const rotationDueAt = dueAfter(rotatedAt ?? createdAt, days);
  return rotationDueAt > now ? { rotationDueAt, rotationDueToldAt: null } : { rotationDueAt };
}
