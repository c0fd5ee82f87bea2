import { In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { anyOf } from '../db/filters';
import { keysetPage, type KeysetOrder, type PageRequest } from '../db/keyset';
import type { Connection } from '../lib/graphql-types';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { LedgerEntry, entryPlace, type LedgerKind } from './ledger-entry.entity';
import { Wallet } from './wallet.entity';

export interface LedgerFilter {
  kind?: LedgerKind[] | null;
  from?: Date | null;
  to?: Date | null;
}

const NEWEST_ENTRY_FIRST: KeysetOrder<LedgerEntry> = { columns: ['createdAt', 'seq'], types: ['number', 'number'], direction: 'DESC' };

/** The entries of one wallet or budget that a filter lets through; the alias is `row`. */
export function entriesOf(reader: EntityManager, accountId: string, filter: LedgerFilter): SelectQueryBuilder<LedgerEntry> {
  const query = reader.createQueryBuilder(LedgerEntry, 'row').where({ accountId });
  if (filter.kind) query.andWhere(anyOf('kind', filter.kind));
  if (filter.from) query.andWhere('row.createdAt >= :from', { from: filter.from.getTime() });
  if (filter.to) query.andWhere('row.createdAt < :to', { to: filter.to.getTime() });
  return query;
}

/** A page of them, newest first. */
export async function listEntries(reader: EntityManager, accountId: string, filter: LedgerFilter, page: PageRequest): Promise<Connection<LedgerEntry>> {
  return keysetPage(entriesOf(reader, accountId, filter), NEWEST_ENTRY_FIRST, page);
}

/** Entries by their ids. */
export async function entriesById(ids: readonly string[], reader: EntityManager): Promise<Map<string, LedgerEntry>> {
  const places = ids.map(entryPlace).filter((place) => place !== undefined);
  if (places.length === 0) return new Map();
  const entries = await reader.find(LedgerEntry, { where: places });
  return new Map(entries.map((entry) => [entry.id, entry]));
}

/** The workspaces that accounts belong to. */
export async function workspacesOf(accountIds: readonly string[], reader: EntityManager): Promise<Map<string, Workspace>> {
  const [wallets, projects] = await Promise.all([reader.findBy(Wallet, { id: In([...accountIds]) }), reader.findBy(Project, { id: In([...accountIds]) })]);
  const owners = [...wallets, ...projects];
  const workspaces = await reader.findBy(Workspace, { id: In(owners.map((owner) => owner.workspaceId)) });
  const byId = new Map(workspaces.map((workspace) => [workspace.id, workspace]));
  return new Map(owners.flatMap(({ id, workspaceId }) => (byId.has(workspaceId) ? [[id, byId.get(workspaceId) as Workspace]] : [])));
}
