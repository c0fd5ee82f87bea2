import { Field, InputType } from 'type-graphql';
import { every, has } from '../db/filters';
import { byAgeOrName, type OrderBy } from '../db/keyset';
import type { List } from '../db/list';
import { Workspace } from './workspace.entity';

@InputType({ description: 'All that are given must hold. A text is 1 to 100 characters, A to Z in either case.' })
export class WorkspaceFilter {
  @Field(() => String, { nullable: true, description: 'With this text in their name.' })
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'With this text in their slug.' })
  slug?: string | null;
}

export interface WorkspaceListing {
  filter: WorkspaceFilter;
  orderBy?: OrderBy<'CREATED_AT' | 'NAME'> | null;
}

/** Those with these ids, or all where no ids are given; newest first unless told otherwise. */
export const WORKSPACES: List<Workspace, { ids: string[] | undefined }, WorkspaceListing> = {
  entity: Workspace,
  orderOf: ({ orderBy }) => byAgeOrName(orderBy),
  sourceOf: ({ ids }, { filter: { name, slug } }) => ({
    ranges: ids ? ids.map((id) => ({ id })) : [{}],
    narrow: every(has(name, 'name'), has(slug, 'slug')),
  }),
};
