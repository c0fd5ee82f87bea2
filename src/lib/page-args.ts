import { ArgsType, Field, Int } from 'type-graphql';
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE } from './page';

/** The arguments that every connection has. */
@ArgsType()
export class PageArgs {
  @Field(() => Int, { nullable: true, description: `How many: 1 to ${MAX_PAGE_SIZE}, ${DEFAULT_PAGE_SIZE} where absent.` })
  first?: number | null;

  @Field(() => String, { nullable: true, description: 'Read on after this cursor.' })
  after?: string | null;
}
