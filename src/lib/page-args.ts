import { ArgsType, Field, Int } from 'type-graphql';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from './page-sizes';

/** The arguments of every connection. */
@ArgsType()
export class PageArgs {
  @Field(() => Int, {
    nullable: true,
    description:
      `The number of objects, from the list's beginning or after the cursor \`after\`: 1 to ${MAX_PAGE_SIZE}. ` +
      `Default: ${DEFAULT_PAGE_SIZE}.`,
  })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'Read forwards from this cursor.' })
  after?: string | null;

  @Field(() => Int, {
    nullable: true,
    description:
      `The number of objects, from the list's end or before the cursor \`before\`: 1 to ${MAX_PAGE_SIZE}. ` +
      "The page still has the list's order. Cannot be combined with `first`.",
  })
  last?: number | null;

  @Field(() => String, {
    nullable: true,
    description:
      `Read backwards from this cursor: the last ${DEFAULT_PAGE_SIZE} objects before it, unless \`first\`, \`last\` or \`after\` ` +
      'says otherwise.',
  })
  before?: string | null;
}
