import { IsNull, type EntityManager } from 'typeorm';
import { z } from 'zod';
import { currentActor, type Authority } from '../access/authority';
import { hintOf, mintSecret } from '../access/secret';
import { recordEvent } from '../audit/record-event';
import { writeChanges } from '../audit/write-changes';
import { locked, type Database } from '../db/database';
import { expectedVersionRule, nextVersion, requireVersion } from '../db/versions';
import { conflict, validate } from '../errors';
import { newId } from '../lib/id';
import { idRule, nameRule } from '../lib/rules';
import { Workspace } from '../tenancy/workspace.entity';
import { OAuthClient } from './client.entity';
import { endConsents } from './consent.service';
import { PRODUCT } from './lifetimes';
import { redirectUrisRule } from './redirect-uris';

/** Most clients of a workspace that are not deleted. */
const MAX_CLIENTS = 100;

const createRule = z
  .object({ workspaceId: idRule, name: nameRule, confidential: z.boolean(), redirectUris: z.array(z.string()) })
  .transform((input, context) => ({ ...input, redirectUris: redirectUrisRule(input.redirectUris, input.confidential, context) }));
const updateRule = z.object({
  id: idRule,
  name: nameRule.optional(),
  redirectUris: z.array(z.string()).optional(),
  expectedVersion: expectedVersionRule,
});
const idInput = z.object({ id: idRule });

export interface ClientServiceDeps {
  database: Database;
  digest(text: string): string;
}

/** Manages the applications of a workspace. Every use reads them from the database, so that a change applies at once on every node. */
export class ClientService {
  constructor(private readonly deps: ClientServiceDeps) {}

  /** Creates a client. Returns its secret too if it is confidential: only a digest of the secret is stored. */
  async create(origin: Authority, raw: z.input<typeof createRule>): Promise<{ client: OAuthClient; secret: string | null }> {
    const { workspaceId, name, confidential, redirectUris } = validate(createRule, raw, 'input');
    const { database } = this.deps;
    return database.transaction(async (tx) => {
      await locked(tx, Workspace, { id: workspaceId });
      await currentActor(tx, origin, 'admin.clients', { workspaceId });
      const count = await tx.countBy(OAuthClient, { workspaceId, deletedAt: IsNull() });
      if (count >= MAX_CLIENTS) throw conflict(`A workspace has at most ${MAX_CLIENTS} OAuth clients. Delete one first.`);
      const at = await database.now(tx);
      const minted = confidential ? this.mint() : { secret: null, secretDigest: null, hint: null };
      const { secret, ...kept } = minted;
      const values = { workspaceId, name, redirectUris, ...kept, version: 1, deletedAt: null, createdAt: at };
      const client = Object.assign(new OAuthClient(), { id: newId('app', at.getTime()), ...values });
      await tx.insert(OAuthClient, client);
      const after = { name, confidential, redirectUris, hint: kept.hint };
      await recordEvent(tx, { ...origin, action: 'oauth-client.created', subject: client, after, at });
      return { client, secret };
    });
  }

  /** Changes the given properties, from the next request on. Throws CONFLICT if `expectedVersion` is given and differs. */
  async update(origin: Authority, raw: z.input<typeof updateRule>): Promise<OAuthClient> {
    const { id, expectedVersion, ...changes } = validate(updateRule, raw, 'input');
    return this.change(origin, id, async (tx, client, at) => {
      requireVersion(expectedVersion, client);
      const { redirectUris } = changes;
      const rule = z.array(z.string()).transform((uris, context) => redirectUrisRule(uris, client.confidential, context, []));
      if (redirectUris) validate(z.object({ redirectUris: rule }), { redirectUris }, 'input');
      const event = { ...origin, action: 'oauth-client.updated', subject: client, at };
      return writeChanges(tx, OAuthClient, { id, deletedAt: IsNull() }, client, changes, event);
    });
  }

  /** Mints a new secret. The old one ends at once. Throws CONFLICT for a public client, because it has no secret. */
  async rotateSecret(origin: Authority, raw: { id: string }): Promise<{ client: OAuthClient; secret: string }> {
    const { id } = validate(idInput, raw, 'input');
    return this.change(origin, id, async (tx, client, at) => {
      if (!client.confidential) throw conflict('A public client has no secret.');
      const { secret, ...kept } = this.mint();
      await tx.update(OAuthClient, { id, deletedAt: IsNull() }, { ...kept, ...nextVersion });
      const change = { before: { hint: client.hint }, after: { hint: kept.hint } };
      await recordEvent(tx, { ...origin, action: 'oauth-client.rotated', subject: client, ...change, at });
      return { client: Object.assign(client, kept, { version: client.version + 1 }), secret };
    });
  }

  /** Deletes a client permanently, and ends all consents to it at once and on every node. Idempotent. */
  async delete(origin: Authority, raw: { id: string }): Promise<OAuthClient> {
    const { id } = validate(idInput, raw, 'input');
    return this.change(origin, id, async (tx, client, at) => {
      if (client.deletedAt) return client;
      await endConsents(tx, { clientId: id }, at);
      const event = { ...origin, action: 'oauth-client.deleted', subject: client, at };
      return writeChanges(tx, OAuthClient, { id, deletedAt: IsNull() }, client, { deletedAt: at }, event);
    }, true);
  }

  /** Returns the client of a `client_id`, or null if it does not exist or is deleted. */
  find(id: string): Promise<OAuthClient | null> {
    return this.deps.database.lookups.findOneBy(OAuthClient, { id, deletedAt: IsNull() });
  }

  /** Runs `work` with the client locked and the caller authorised. Throws CONFLICT for a deleted client unless `evenDeleted`. */
  private async change<T>(
    origin: Authority,
    id: string,
    work: (tx: EntityManager, client: OAuthClient, at: Date) => Promise<T>,
    evenDeleted = false,
  ): Promise<T> {
    const { database } = this.deps;
    return database.transaction(async (tx) => {
      const client = await locked(tx, OAuthClient, { id });
      await currentActor(tx, origin, 'admin.clients', client);
      if (client.deletedAt && !evenDeleted) throw conflict('This client is deleted.');
      return work(tx, client, await database.now(tx));
    });
  }

  private mint(): { secret: string; secretDigest: string; hint: string } {
    const secret = mintSecret(PRODUCT, 'CLIENT');
    return { secret, secretDigest: this.deps.digest(secret), hint: hintOf(secret) };
  }
}
