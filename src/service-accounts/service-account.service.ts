import { In, type EntityManager } from 'typeorm';
import { z } from 'zod';
import { currentActor, type Authority } from '../access/authority';
import { graceSecondsRule, permissionsRule, requireGrantable, requireGrantsOf } from '../access/granting';
import type { Actor } from '../access/principal';
import { hintOf, mintSecret } from '../access/secret';
import { mintSecretOf, storeSecret } from '../access/stored-secret';
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
import { endAccountSecrets } from './secrets';
import { ServiceAccount, ServiceAccountProject, ServiceAccountSecret } from './service-account.entity';
import { MAX_ACCOUNT_PROJECTS, projectIdsOf } from './service-account.queries';

/** The longest rotation interval, in days. */
export const MAX_ROTATION_DAYS = 365;
/** The most enabled service accounts of a workspace. Service accounts are never deleted. */
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
  /** The names of all permissions. */
  knownPermissions(tx: EntityManager): Promise<string[]>;
}

/**
 * Service accounts and their secrets. To create, change or rotate a service account, the actor must be allowed to grant all its
 * permissions. A service account cannot change or rotate itself: otherwise a caller with a secret that ends soon
 * could get a secret that does not end.
 */
export class ServiceAccountService {
  constructor(private readonly deps: ServiceAccountServiceDeps) {}

  /**
   * Creates a service account and returns its secret, which is not stored. Throws NOT_FOUND for a project of another workspace, and
   * CONFLICT for an archived project or if the workspace has MAX_SERVICE_ACCOUNTS enabled accounts.
   */
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
      const values = {
        ...input,
        permissions: unique(input.permissions),
        roleId: input.roleId ?? null,
        hint: hintOf(secret),
        enabled: true,
      };
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
      await storeSecret(tx, ServiceAccountSecret, { digest: this.deps.digest(secret), accountId: serviceAccount.id }, at);
      await recordEvent(tx, {
        ...origin,
        action: 'service-account.created',
        subject: serviceAccount,
        after: { ...values, projectIds },
        at,
      });
      return { serviceAccount, secret };
    });
  }

  /**
   * Changes the given properties, which take effect at once. Throws CONFLICT if an expected version is given and is not the current one.
   * The actor must be allowed to grant all permissions of the account, before and after the change. Otherwise an actor with fewer could
   * get more permissions through the account.
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
   * Creates a new secret for the same account. The previous secret works until the grace period ends. Older secrets keep their end, or end
   * with this grace period if that is sooner. So a rotation never extends an old secret, and one without grace ends all old secrets.
   */
  async rotate(origin: Authority, raw: z.input<typeof rotateRule>): Promise<{ serviceAccount: ServiceAccount; secret: string }> {
    const { id, graceSeconds } = validate(rotateRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const account = await locked(tx, ServiceAccount, { id });
      await this.requireAnother(tx, origin, account);
      const at = await this.deps.database.now(tx);
      await endAccountSecrets(tx, id, at, graceSeconds);
      const secret = await mintSecretOf(tx, account.workspaceId, 'SVC');
      const rotationDueAt = dueAfter(at, account.rotationDays);
      const { before, after } = difference<Partial<ServiceAccount>>(account, { hint: hintOf(secret), rotatedAt: at, rotationDueAt });
      await storeSecret(tx, ServiceAccountSecret, { digest: this.deps.digest(secret), accountId: id }, at);
      const changes = { ...after, rotationDueToldAt: null };
      await tx.update(ServiceAccount, { id }, { ...changes, ...nextVersion });
      await recordEvent(tx, {
        ...origin,
        action: 'service-account.rotated',
        subject: account,
        before,
        after: { ...after, graceSeconds },
        at,
      });
      return { serviceAccount: Object.assign(account, changes, { version: account.version + 1 }), secret };
    });
  }

  /** Disables a service account and all its secrets at once, until it is enabled again. Idempotent. */
  async disable(origin: Authority, raw: z.input<typeof disableRule>): Promise<ServiceAccount> {
    const { id } = validate(disableRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const account = await locked(tx, ServiceAccount, { id });
      await currentActor(tx, origin, 'write.keys', account);
      const event = { ...origin, action: 'service-account.disabled', subject: account, at: await this.deps.database.now(tx) };
      return writeChanges(tx, ServiceAccount, { id, enabled: true }, account, { enabled: false }, event);
    });
  }

  /** Returns the actor. Throws FORBIDDEN if the actor is the account itself, or may not grant all its permissions. */
  private async requireAnother(tx: EntityManager, origin: Authority, account: ServiceAccount): Promise<Actor> {
    const actor = await currentActor(tx, origin, 'write.keys', account);
    if (actor.id === account.id)
      throw new TollgateError('FORBIDDEN', 'A service account cannot change or rotate itself. Use another credential.');
    await requireGrantsOf(tx, actor, account);
    return actor;
  }

  /** Throws CONFLICT if the workspace has MAX_SERVICE_ACCOUNTS enabled accounts. The caller must hold the workspace's lock. */
  private async requireRoom(tx: EntityManager, workspaceId: string): Promise<void> {
    const enabled = await tx.countBy(ServiceAccount, { workspaceId, enabled: true });
    if (enabled >= MAX_SERVICE_ACCOUNTS) {
      throw conflict(`This workspace has ${MAX_SERVICE_ACCOUNTS} enabled service accounts, which is the limit. Disable one first.`);
    }
  }

  /**
   * Throws NOT_FOUND for a project of another workspace, CONFLICT for an archived one. A project that is archived at this moment may
   * still be granted, but the gate refuses calls to it.
   */
  private async requireProjects(tx: EntityManager, ids: string[], workspaceId: string): Promise<void> {
    const projects = ids.length === 0 ? [] : await tx.findBy(Project, { id: In(ids), workspaceId });
    if (projects.length < ids.length) return notFound();
    if (projects.some(({ archivedAt }) => archivedAt !== null)) throw conflict('One of these projects is archived. Leave it out.');
  }

  private async grantProjects(tx: EntityManager, accountId: string, projectIds: string[]): Promise<void> {
    if (projectIds.length > 0) await tx.insert(ServiceAccountProject, projectIds.map((projectId) => ({ accountId, projectId })));
  }
}

const dueAfter = (at: Date, days: number): Date => later(at, days * DAY_MS);

/** The columns that new rotation days change. Counts from the age of the current secret. A due time in the future gets an event again. */
function rotationChanges({ rotatedAt, createdAt }: ServiceAccount, days: number | undefined, now: Date): Partial<ServiceAccount> {
  if (days === undefined) return {};
  const rotationDueAt = dueAfter(rotatedAt ?? createdAt, days);
  return rotationDueAt > now ? { rotationDueAt, rotationDueToldAt: null } : { rotationDueAt };
}
