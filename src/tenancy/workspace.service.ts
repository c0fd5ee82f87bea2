import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import { recordEvent, type Origin } from '../audit/record-event';
import { writeChanges } from '../audit/write-changes';
import { locked, type Database } from '../db/database';
import { isDuplicate } from '../db/failures';
import { expectedVersionRule, requireVersion } from '../db/versions';
import { conflict, validate } from '../errors';
import { newId } from '../lib/id';
import { idRule, keyPrefixRule, nameRule, slugRule } from '../lib/rules';
import { Workspace } from './workspace.entity';

const createRule = z.object({ name: nameRule, slug: slugRule, keyPrefix: keyPrefixRule.nullish() });
const updateRule = z.object({
  id: idRule,
  name: nameRule.optional(),
  keyPrefix: keyPrefixRule.optional(),
  requiresSecondFactor: z.boolean().optional(),
  expectedVersion: expectedVersionRule,
});

export interface WorkspaceServiceDeps {
  database: Database;
  /** Creates the wallet of a new workspace, in the same transaction. */
  opened(tx: EntityManager, workspace: Workspace): Promise<void>;
}

/** Creates and changes workspaces, which are the tenants. */
export class WorkspaceService {
  constructor(private readonly deps: WorkspaceServiceDeps) {}

  /** Creates a workspace with an empty wallet. Throws CONFLICT if the slug is taken. */
  async create(origin: Origin, raw: z.input<typeof createRule>): Promise<Workspace> {
    const input = validate(createRule, raw, 'input');
    try {
      return await this.deps.database.transaction(async (tx) => {
        const at = await this.deps.database.now(tx);
        const workspace = Object.assign(new Workspace(), {
          id: newId('ws', at.getTime()),
          name: input.name,
          slug: input.slug,
          keyPrefix: input.keyPrefix ?? keyPrefixFrom(input.slug),
          requiresSecondFactor: false,
          version: 1,
          createdAt: at,
        });
        await tx.insert(Workspace, workspace);
        await this.deps.opened(tx, workspace);
        const { id, name, slug, keyPrefix } = workspace;
        await recordEvent(tx, {
          ...origin,
          action: 'workspace.created',
          subject: { id, workspaceId: id },
          after: { name, slug, keyPrefix },
          at,
        });
        return workspace;
      });
    } catch (error) {
      throw isDuplicate(error) ? conflict('Another workspace has this slug. Choose another slug.') : error;
    }
  }

  /**
   * Changes the given properties. Throws CONFLICT if an expected version is given and is not the current one. Existing secrets keep
   * their prefix.
   */
  async update(origin: Origin, raw: z.input<typeof updateRule>): Promise<Workspace> {
    const { id, expectedVersion, ...changes } = validate(updateRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const workspace = await locked(tx, Workspace, { id });
      requireVersion(expectedVersion, workspace);
      const event = { ...origin, action: 'workspace.updated', subject: { id, workspaceId: id }, at: await this.deps.database.now(tx) };
      return writeChanges(tx, Workspace, { id }, workspace, changes, event);
    });
  }
}

/** The slug's letters and digits, from its first letter on, at most 12. Returns `key` if fewer than 2 remain. */
function keyPrefixFrom(slug: string): string {
  const prefix = slug.replace(/-/g, '').replace(/^[0-9]+/, '').slice(0, 12);
  return prefix.length >= 2 ? prefix : 'key';
}
