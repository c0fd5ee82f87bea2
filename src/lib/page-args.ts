import { ArgsType, Field, Int } from 'type-graphql';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from './page';

/** The arguments that every connection has. */
@ArgsType()
export class PageArgs {
  @Field(() => Int, { nullable: true, description: `How many, from the list's beginning or after a cursor on: 1 to ${MAX_PAGE_SIZE}, ${DEFAULT_PAGE_SIZE} where absent.` })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'Read on after this cursor.' })
  after?: string | null;

  @Field(() => Int, { nullable: true, description: `How many, from the list's end or before a cursor back: 1 to ${MAX_PAGE_SIZE}. The page is in the list's order all the same; not together with \`first\`.` })
  last?: number | null;

  @Field(() => String, { nullable: true, description: `Read back from this cursor: the last ${DEFAULT_PAGE_SIZE} before it, unless \`first\`, \`last\` or \`after\` says otherwise.` })
  before?: string | null;
}
