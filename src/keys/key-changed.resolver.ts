import { Arg, Field, ID, ObjectType, Resolver, Root, Subscription } from 'type-graphql';
import { GraphQLContext } from '../graphql/context';
import { ApiKey } from './key.entity';
import { KeyChangeFilter, keyChanges, type KeyChange } from './key.feed';

@ObjectType({ description: 'A change of a key that was sealed.' })
class KeyChanged {
  @Field({ description: 'Give it as `after` to go on behind this event.' })
  cursor: string;

  @Field({ description: 'What was done: `key.minted`, `key.updated`, `key.rotated` or `key.revoked`.' })
  action: string;

  @Field({ description: 'The key as it is now: later changes may be in it already.' })
  key: ApiKey;
}

interface KeyChangedArgs {
  workspaceId: string;
  filter?: KeyChangeFilter | null;
  after?: string | null;
}

@Resolver()
export class KeyChangedResolver {
  @Subscription(() => KeyChanged, {
    description:
      'The keys of a workspace as they are minted, changed, rotated and revoked. It needs `read.keys`. That a key expires, or its project is archived, changes its status and is no event of the key. With the cursor of the last event that was seen as `after` it goes on behind that, and misses and repeats none. INVALID_REQUEST for a cursor that is no place in the trail.',
    subscribe: ({ args: { workspaceId, filter, after }, context }: { args: KeyChangedArgs; context: GraphQLContext }) =>
      context.subscribe({
        allow: (ctx) => ctx.requireIn('read.keys', workspaceId),
        open: ({ reader }) => keyChanges(reader, { workspaceId, filter: filter ?? {}, after }),
      }),
  })
  keyChanged(
    @Root() { cursor, of }: KeyChange,
    @Arg('workspaceId', () => ID, { description: 'Begins with `ws_`.' }) _workspaceId: string,
    @Arg('filter', () => KeyChangeFilter, { nullable: true, description: 'Which of them.' }) _filter: KeyChangeFilter | null,
    @Arg('after', () => String, { nullable: true, description: 'The cursor of the last event that was seen.' }) _after: string | null,
  ): KeyChanged {
    return { cursor, ...of };
  }
}
