import { Field, ID, InputType } from 'type-graphql';
import { In, type EntityManager } from 'typeorm';
import { TrailFeed, type Sealed } from '../audit/trail.feed';
import { anyOf, every } from '../db/filters';
import type { Feed } from '../lib/feed';
import { ApiKey } from './key.entity';

@InputType({ description: 'Changes that meet all given conditions. A list matches any of its values; an empty list matches nothing.' })
export class KeyChangeFilter {
  @Field(() => [ID], { nullable: true, description: 'Changes of these keys.' })
  keyId?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Changes of the keys of these projects.' })
  projectId?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Changes with these actions, such as `key.revoked`.' })
  action?: string[] | null;
}

/** A change of a key: the action, and the current state of the key. */
export type KeyChange = Sealed<{ action: string; key: ApiKey }>;

/** Follows the changes of a workspace's keys, in the order of their seals. Throws INVALID_REQUEST if the cursor is not in the trail. */
export function keyChanges(
  reader: EntityManager,
  { workspaceId, filter, after }: { workspaceId: string; filter: KeyChangeFilter; after?: string | null | undefined },
): Promise<Feed<KeyChange>> {
  const { keyId, projectId, action } = filter;
  return TrailFeed.open(reader, {
    chainId: workspaceId,
    after,
    present: async (events) => {
      const changes = events.filter((event) => event.action.startsWith('key.') && (action?.includes(event.action) ?? true));
      if (changes.length === 0) return new Map();
      const query = reader.createQueryBuilder(ApiKey, 'row').where({ workspaceId, id: In(changes.map(({ subjectId }) => subjectId)) });
      every<ApiKey>(anyOf('id', keyId, 'keyId'), anyOf('projectId', projectId))?.(query);
      const keys = new Map((await query.getMany()).map((key) => [key.id, key]));
      return new Map(
        changes.flatMap(({ id, action, subjectId }) => {
          const key = keys.get(subjectId);
          return key ? [[id, { action, key }]] : [];
        }),
      );
    },
  });
}
