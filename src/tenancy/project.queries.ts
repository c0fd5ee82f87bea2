import { IsNull } from 'typeorm';
import { has } from '../db/filters';
import { byAgeOrName, type OrderBy } from '../db/keyset';
import type { List } from '../db/list';
import { Project } from './project.entity';

/** What a list of things with a name and a slug leaves. */
export interface NamedFilter {
  name?: string | null;
  slug?: string | null;
}

export interface ProjectListing {
  filter: NamedFilter;
  orderBy?: OrderBy<'CREATED_AT' | 'NAME'> | null;
  includeArchived: boolean;
}

/** The projects of a workspace, newest first unless told otherwise. */
export const PROJECTS: List<Project, string, ProjectListing> = {
  entity: Project,
  orderOf: ({ orderBy }) => byAgeOrName(orderBy),
  sourceOf: (workspaceId, { filter: { name, slug }, includeArchived }) => ({
    ranges: [includeArchived ? { workspaceId } : { workspaceId, archivedAt: IsNull() }],
    narrow: typeof name === 'string' || typeof slug === 'string' ? (query) => (has(query, name, 'name'), has(query, slug, 'slug')) : undefined,
  }),
};
