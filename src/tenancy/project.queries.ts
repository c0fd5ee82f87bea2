import { Field, InputType } from 'type-graphql';
import { IsNull, type EntityManager } from 'typeorm';
import { every, has } from '../db/filters';
import { byAgeOrName, type OrderBy } from '../db/keyset';
import type { List } from '../db/list';
import { Project } from './project.entity';

@InputType({ description: 'Projects that meet all given conditions. A text is 1 to 100 characters; the case of A to Z does not matter.' })
export class ProjectFilter {
  @Field(() => String, { nullable: true, description: 'Projects with this text in their name.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Projects with this text in their slug.' })
  slug?: string | null;
}

export interface ProjectListing {
  filter: ProjectFilter;
  orderBy?: OrderBy<'CREATED_AT' | 'NAME'> | null;
  includeArchived: boolean;
}

/** The projects of a workspace, newest first by default. */
export const PROJECTS: List<Project, string, ProjectListing> = {
  entity: Project,
  orderOf: ({ orderBy }) => byAgeOrName(orderBy),
  sourceOf: (workspaceId, { filter: { name, slug }, includeArchived }) => ({
    ranges: [includeArchived ? { workspaceId } : { workspaceId, archivedAt: IsNull() }],
    narrow: every(has(name, 'name'), has(slug, 'slug')),
  }),
};

/** Projects by the id of their workspace and their slug, with a space between. Neither of the two has a space. */
export async function projectsBySlug(names: readonly string[], reader: EntityManager): Promise<Map<string, Project>> {
  const where = names.map((name) => {
    const [workspaceId = '', ...rest] = name.split(' ');
    return { workspaceId, slug: rest.join(' ') };
  });
  const found = await reader.findBy(Project, where);
  return new Map(found.map((project) => [`${project.workspaceId} ${project.slug}`, project]));
}
