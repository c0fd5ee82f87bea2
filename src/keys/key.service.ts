import type { EntityManager } from 'typeorm';
import { In, IsNull, MoreThan, Not } from 'typeorm';
import { z } from 'zod';
import { currentActor, type Authority } from '../access/authority';
import { graceSecondsRule, permissionsRule, requireGrantable, requireGrantsOf } from '../access/granting';
import { hintOf } from '../access/secret';
import { endSecrets, mintSecretOf, startGrace, storeSecret } from '../access/stored-secret';
import { Membership } from '../access/people/membership.entity';
import { personBehind, type Actor } from '../access/principal';
import { recordEvent, recordEvents, type Origin } from '../audit/record-event';
import { difference, writeChanges } from '../audit/write-changes';
import { forUpdate, locked, type Database } from '../db/database';
import { expectedVersionRule, nextVersion, requireVersion } from '../db/versions';
import { conflict, invalid, validate } from '../errors';
import { parseBlock } from '../lib/cidr';
import { newId } from '../lib/id';
import { idRule, nameRule, reasonRule, unique } from '../lib/rules';
import { Environment } from '../tenancy/environment';
import { Project } from '../tenancy/project.entity';
import { ApiKey, KeySecret, MAX_ALLOWED_IPS } from './key.entity';

const allowedIpsRule = z
  .array(z.string())
  .max(MAX_ALLOWED_IPS, `must be at most ${MAX_ALLOWED_IPS} blocks`)
  .transform((blocks, context) => {
    const parsed = blocks.map((text, index) => {
      const block = parseBlock(text);
      if (!block) context.addIssue({ code: 'custom', path: [index], message: 'must be an address or a CIDR block' });
      return block ?? '';
    });
    return unique(parsed);
  });

const mintRule = z.object({
  projectId: idRule,
  name: nameRule,
  environment: z.enum(Environment, 'must be LIVE or TEST').default(Environment.LIVE),
  permissions: permissionsRule,
  roleId: idRule.nullish(),
  allowedIps: allowedIpsRule.default([]),
  expiresAt: z.date().nullish(),
});

const updateRule = z.object({
  id: idRule,
  name: nameRule.optional(),
  permissions: permissionsRule.optional(),
  roleId: idRule.nullable().optional(),
  allowedIps: allowedIpsRule.optional(),
  enabled: z.boolean().optional(),
  expiresAt: z.date().nullable().optional(),
  expectedVersion: expectedVersionRule,
});

const rotateRule = z.object({ id: idRule, graceSeconds: graceSecondsRule.default(0) });

/** Keys in one batch when a member is removed and the keys that they minted are revoked. A batch is read and ended in a few statements. */
const REVOKED_AT_A_TIME = 50;
const REVOKED_WITH_MEMBER = 'The member who minted it was removed.';

const revokeRule = z.object({ id: idRule, reason: reasonRule.nullish() });

/** Whether a change only disables a key. */
const switchesOff = ({ enabled, ...rest }: { enabled?: boolean | undefined }): boolean =>
  enabled === false && Object.values(rest).every((value) => value === undefined);

export interface KeyServiceDeps {
  database: Database;
  digest(text: string): string;
  /** The names of all permissions of actions and administration. */
  knownPermissions(tx: EntityManager): Promise<string[]>;
}

/** Keys and their secrets. Each change locks the key's row and updates named columns. A revoked key or ended secret never works again. */
export class KeyService {
  constructor(private readonly deps: KeyServiceDeps) {}

  /** Creates a key. Returns its secret, which is not stored. Throws CONFLICT if the project is archived. */
  async mint(origin: Authority, raw: z.input<typeof mintRule>): Promise<{ key: ApiKey; secret: string }> {
    const input = validate(mintRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const project = await locked(tx, Project, { id: input.projectId });
      if (project.archivedAt) throw conflict('This project is archived. Choose another project.');
      const at = await this.deps.database.now(tx);
      if (input.expiresAt && input.expiresAt <= at) throw invalid({ path: ['input', 'expiresAt'], message: 'must be in the future' });
      const { workspaceId } = project;
      const createdByUserId = await this.lockMinter(tx, origin.actor, workspaceId);
      const actor = await currentActor(tx, origin, 'write.keys', project);
      await requireGrantable(tx, { ...this.deps, actor, workspaceId }, input);
      const secret = await mintSecretOf(tx, workspaceId, input.environment);
      const values = {
        ...input,
        permissions: unique(input.permissions),
        roleId: input.roleId ?? null,
        expiresAt: input.expiresAt ?? null,
        hint: hintOf(secret),
        enabled: true,
      };
      const key = Object.assign(new ApiKey(), values, {
        id: newId('key', at.getTime()),
        workspaceId,
        revokedAt: null,
        revokedReason: null,
        rotatedAt: null,
        version: 1,
        createdAt: at,
        createdByKind: actor.kind,
        createdById: actor.id,
        createdByUserId,
      });
      await tx.insert(ApiKey, key);
      await storeSecret(tx, KeySecret, { digest: this.deps.digest(secret), keyId: key.id }, at);
      await recordEvent(tx, { ...origin, action: 'key.minted', subject: key, after: values, at });
      return { key, secret };
    });
  }

  /**
   * Changes the given properties. The actor must be able to grant every permission of the key, before and after the change. Otherwise it
   * could get more permissions through the key. Disabling a key does not need that. Throws CONFLICT for a revoked key, or if the version is
   * not the expected one.
   */
  async update(origin: Authority, raw: z.input<typeof updateRule>): Promise<ApiKey> {
    const { id, expectedVersion, ...changes } = validate(updateRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const key = await locked(tx, ApiKey, { id });
      if (key.revokedAt) throw conflict('This key is revoked. Mint a new key.');
      const actor = await currentActor(tx, origin, 'write.keys', key);
      if (!switchesOff(changes)) await requireGrantsOf(tx, actor, key);
      await requireGrantable(tx, { ...this.deps, actor, workspaceId: key.workspaceId }, changes, key.permissions);
      requireVersion(expectedVersion, key);
      const permissions = changes.permissions && { permissions: unique(changes.permissions) };
      const event = { ...origin, action: 'key.updated', subject: key, at: await this.deps.database.now(tx) };
      return writeChanges(tx, ApiKey, { id, revokedAt: IsNull() }, key, { ...changes, ...permissions }, event);
    });
  }

  /**
   * Gives a key a new secret. The replaced secret works until the end of its grace period, and an older one stops now. The actor must be
   * able to grant every permission of the key, because it receives the secret. Throws CONFLICT for a revoked or expired key.
   */
  async rotate(origin: Authority, raw: z.input<typeof rotateRule>): Promise<{ key: ApiKey; secret: string }> {
    const { id, graceSeconds } = validate(rotateRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const key = await locked(tx, ApiKey, { id });
      await requireGrantsOf(tx, await currentActor(tx, origin, 'write.keys', key), key);
      const at = await this.deps.database.now(tx);
      if (key.revokedAt) throw conflict('This key is revoked. Mint a new key.');
      if (key.expiresAt && key.expiresAt <= at) throw conflict('This key has expired. Mint a new key.');
      await endSecrets(tx, KeySecret, { keyId: id, graceUntil: Not(IsNull()) }, at);
      const graceUntil = Math.min(at.getTime() + graceSeconds * 1000, key.expiresAt?.getTime() ?? Infinity);
      await startGrace(tx, KeySecret, { keyId: id }, { at, graceUntil });
      const secret = await mintSecretOf(tx, key.workspaceId, key.environment);
      await storeSecret(tx, KeySecret, { digest: this.deps.digest(secret), keyId: id }, at);
      const event = { ...origin, action: 'key.rotated', subject: key, after: { graceSeconds }, at };
      return {
        key: await writeChanges(tx, ApiKey, { id, revokedAt: IsNull() }, key, { hint: hintOf(secret), rotatedAt: at }, event),
        secret,
      };
    });
  }

  /** Revokes a key and its secrets for ever, on every node, from the commit on. Idempotent. */
  async revoke(origin: Authority, raw: z.input<typeof revokeRule>): Promise<ApiKey> {
    const { id, reason } = validate(revokeRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const key = await locked(tx, ApiKey, { id });
      if (key.revokedAt) return key;
      return this.end(tx, origin, key, { reason: reason ?? null, at: await this.deps.database.now(tx) });
    });
  }

  /** Revokes all live keys that a person minted in a workspace, in the transaction that removes them. Returns their number. */
  async revokeMinted(tx: EntityManager, origin: Origin, member: { workspaceId: string; userId: string }, at: Date): Promise<number> {
    const where = { workspaceId: member.workspaceId, createdByUserId: member.userId, revokedAt: IsNull() };
    const page = { order: { id: 'ASC' }, take: REVOKED_AT_A_TIME, ...forUpdate(tx) } as const;
    let revoked = 0;
    for (let keys: ApiKey[], last = ''; (keys = await tx.find(ApiKey, { where: { ...where, id: MoreThan(last) }, ...page })).length > 0; ) {
      const live = keys.filter(({ expiresAt }) => !expiresAt || expiresAt > at);
      if (live.length > 0) await this.endAll(tx, origin, live, at);
      revoked += live.length;
      last = keys.at(-1)?.id ?? '';
    }
    return revoked;
  }

  /** Ends live keys that this transaction has locked, as `end` does, in few statements. */
  private async endAll(tx: EntityManager, origin: Origin, keys: ApiKey[], at: Date): Promise<void> {
    const ids = In(keys.map(({ id }) => id));
    const changes = { revokedAt: at, revokedReason: REVOKED_WITH_MEMBER };
    await endSecrets(tx, KeySecret, { keyId: ids }, at);
    await tx.update(ApiKey, { id: ids, revokedAt: IsNull() }, { ...changes, ...nextVersion });
    await recordEvents(tx, keys.map((key) => ({ ...origin, action: 'key.revoked', subject: key, ...difference(key, changes), at })));
  }

  private async end(tx: EntityManager, origin: Origin, key: ApiKey, { reason, at }: { reason: string | null; at: Date }): Promise<ApiKey> {
    await endSecrets(tx, KeySecret, { keyId: key.id }, at);
    const changes = { revokedAt: at, revokedReason: reason };
    const event = { ...origin, action: 'key.revoked', subject: key, at };
    return writeChanges(tx, ApiKey, { id: key.id, revokedAt: IsNull() }, key, changes, event);
  }

  /**
   * Returns the id of the person who mints, or null. Locks their membership: a removal that revokes their keys waits for this mint, or this
   * mint finds that the membership has ended.
   */
  private async lockMinter(tx: EntityManager, actor: Actor, workspaceId: string): Promise<string | null> {
    const minter = actor.kind === 'API_KEY' ? await tx.findOneBy(ApiKey, { id: actor.id }) : null;
    const userId = minter ? minter.createdByUserId : personBehind(actor);
    if (userId !== null) await tx.findOne(Membership, { where: { userId, workspaceId }, ...forUpdate(tx) });
    return userId;
  }
}
