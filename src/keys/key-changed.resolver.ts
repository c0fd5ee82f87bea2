import { Arg, Field, ID, ObjectType, Resolver, Root, Subscription } from 'type-graphql';
import { GraphQLContext } from '../graphql/context';
import { ApiKey } from './key.entity';
import { KeyChangeFilter, keyChanges, type KeyChange } from './key.feed';

@ObjectType({ description: 'A change of a key. Its event has been sealed.' })
class KeyChanged {
  @Field({ description: 'To continue after this event, pass it as `after`.' })
  cursor: string;

  @Field({ description: 'The change: `key.minted`, `key.updated`, `key.rotated` or `key.revoked`.' })
  action: string;

  @Field({ description: 'The current state of the key, which may include later changes.' })
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
      'Sends each key of a workspace when it is minted, changed, rotated or revoked. Requires `read.keys`. When a key expires, or its ' +
      'project is archived, its status changes without an event of the key. Pass the cursor of the last event as `after` to continue ' +
      'after it: no event is missed or repeated. INVALID_REQUEST for a cursor that is not in the trail.',
    subscribe: ({ args: { workspaceId, filter, after }, context }: { args: KeyChangedArgs; context: GraphQLContext }) =>
      context.subscribe({
        allow: (ctx) => ctx.requireIn('read.keys', workspaceId),
        open: ({ reader }) => keyChanges(reader, { workspaceId, filter: filter ?? {}, after }),
      }),
  })
  keyChanged(
    @Root() { cursor, of }: KeyChange,
    @Arg('workspaceId', () => ID, { description: 'Begins with `ws_`.' }) _workspaceId: string,
    @Arg('filter', () => KeyChangeFilter, { nullable: true, description: 'Selects changes.' }) _filter: KeyChangeFilter | null,
    @Arg('after', () => String, { nullable: true, description: 'The cursor of the last event that was received.' }) _after: string | null,
  ): KeyChanged {
    return { cursor, ...of };
  }
}
