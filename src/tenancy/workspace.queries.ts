import { has } from '../db/filters';
import { byAgeOrName, type OrderBy } from '../db/keyset';
import type { List } from '../db/list';
import type { NamedFilter } from './project.queries';
import { Workspace } from './workspace.entity';

export interface WorkspaceListing {
  filter: NamedFilter;
  orderBy?: OrderBy<'CREATED_AT' | 'NAME'> | null;
}

/** Those with these ids, or all where no ids are given; newest first unless told otherwise. */
export const WORKSPACES: List<Workspace, { ids: string[] | undefined }, WorkspaceListing> = {
  entity: Workspace,
  orderOf: ({ orderBy }) => byAgeOrName(orderBy),
  sourceOf: ({ ids }, { filter: { name, slug } }) => ({
    ranges: ids ? ids.map((id) => ({ id })) : [{}],
    narrow: typeof name === 'string' || typeof slug === 'string' ? (query) => (has(query, name, 'name'), has(query, slug, 'slug')) : undefined,
  }),
};
