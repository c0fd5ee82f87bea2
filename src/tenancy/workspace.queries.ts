import { Field, InputType } from 'type-graphql';
import { every, has } from '../db/filters';
import { byAgeOrName, type OrderBy } from '../db/keyset';
import type { List } from '../db/list';
import { Workspace } from './workspace.entity';

@InputType({ description: 'Workspaces that meet all given conditions. A text is 1 to 100 characters; the case of A to Z does not matter.' })
export class WorkspaceFilter {
  @Field(() => String, { nullable: true, description: 'Workspaces with this text in their name.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Workspaces with this text in their slug.' })
  slug?: string | null;
}

export interface WorkspaceListing {
  filter: WorkspaceFilter;
  orderBy?: OrderBy<'CREATED_AT' | 'NAME'> | null;
}

/** The workspaces with these ids, or all workspaces if `ids` is undefined; newest first by default. */
export const WORKSPACES: List<Workspace, { ids: string[] | undefined }, WorkspaceListing> = {
  entity: Workspace,
  orderOf: ({ orderBy }) => byAgeOrName(orderBy),
  sourceOf: ({ ids }, { filter: { name, slug } }) => ({
    ranges: ids ? ids.map((id) => ({ id })) : [{}],
    narrow: every(has(name, 'name'), has(slug, 'slug')),
  }),
};
