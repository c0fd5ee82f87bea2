import { Field, InputType } from 'type-graphql';
import { In, type EntityManager, type SelectQueryBuilder } from 'typeorm';
import { anyOf, every, ranging, within } from '../db/filters';
import type { KeysetOrder } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { MicroCredits } from '../lib/scalars';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { LedgerEntry, LedgerKind, entryPlace } from './ledger-entry.entity';
import { Wallet } from './wallet.entity';

@InputType({ description: 'Entries that meet all given conditions. A list matches any of its values; an empty list matches nothing.' })
export class LedgerFilter {
  @Field(() => [LedgerKind], { nullable: true, description: 'Entries of these kinds.' })
  kind?: LedgerKind[] | null;

  @Field(() => MicroCredits, { nullable: true, description: 'Entries with at least this delta: 1 selects credits that came in.' })
  minDelta?: number | null;

  @Field(() => MicroCredits, { nullable: true, description: 'Entries with at most this delta: -1 selects credits that went out.' })
  maxDelta?: number | null;

  @Field(() => Date, { nullable: true, description: 'Beginning of the time range, inclusive.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'End of the time range, exclusive.' })
  to?: Date | null;
}

const NEWEST_ENTRY_FIRST: KeysetOrder<LedgerEntry> = { columns: ['createdAt', 'seq'], types: ['number', 'number'], direction: 'DESC' };

/** A query for the entries of one wallet or budget that match a filter. Its alias is `row`. */
export function entriesOf(reader: EntityManager, accountId: string, filter: LedgerFilter): SelectQueryBuilder<LedgerEntry> {
  const query = reader.createQueryBuilder(LedgerEntry, 'row').where({ accountId });
  every(ofKind(filter), bounded(filter), narrowed(filter))?.(query);
  return query;
}

/** The same entries as a list, newest first. Each kind is a separate range of the index on kinds. */
export const LEDGER: List<LedgerEntry, string, LedgerFilter> = {
  entity: LedgerEntry,
  orderOf: () => NEWEST_ENTRY_FIRST,
  sourceOf: (accountId, filter) => {
    const kinds = lookedUp<LedgerEntry>('kind', filter.kind);
    return {
      ranges: kinds ? kinds.map((kind) => ({ accountId, ...kind })) : [{ accountId }],
      bounds: bounded(filter),
      narrow: every(kinds ? undefined : ofKind(filter), narrowed(filter)),
    };
  },
};

const ofKind = ({ kind }: LedgerFilter) => anyOf<LedgerEntry>('kind', kind);
const bounded = ({ from, to }: LedgerFilter) => within<LedgerEntry>('row.createdAt', from, to);
const narrowed = ({ minDelta, maxDelta }: LedgerFilter) => ranging<LedgerEntry>('row.delta', minDelta, maxDelta, 'delta');

/** Entries by id. Ids of other objects are ignored. */
export async function entriesById(ids: readonly string[], reader: EntityManager): Promise<Map<string, LedgerEntry>> {
  const places = ids.map(entryPlace).filter((place) => place !== undefined);
  if (places.length === 0) return new Map();
  const entries = await reader.find(LedgerEntry, { where: places });
  return new Map(entries.map((entry) => [entry.id, entry]));
}

/** Workspaces by the id of their wallet, or of one of their projects. */
export async function workspacesOf(accountIds: readonly string[], reader: EntityManager): Promise<Map<string, Workspace>> {
  const [wallets, projects] = await Promise.all([
    reader.findBy(Wallet, { id: In([...accountIds]) }),
    reader.findBy(Project, { id: In([...accountIds]) }),
  ]);
  const owners = [...wallets, ...projects];
  const workspaces = await reader.findBy(Workspace, { id: In(owners.map((owner) => owner.workspaceId)) });
  const byId = new Map(workspaces.map((workspace) => [workspace.id, workspace]));
  return new Map(owners.flatMap(({ id, workspaceId }) => (byId.has(workspaceId) ? [[id, byId.get(workspaceId) as Workspace]] : [])));
}
