import { Field, ID, InputType } from 'type-graphql';
import { In, type EntityManager } from 'typeorm';
import { TrailFeed, type Sealed } from '../audit/trail.feed';
import { anyOf, every } from '../db/filters';
import type { Feed } from '../lib/feed';
import { ApiKey } from './key.entity';

@InputType({ description: 'All that are given must hold; a list means any of these, an empty one none.' })
export class KeyChangeFilter {
  @Field(() => [ID], { nullable: true, description: 'Of these keys.' })
  keyId?: string[] | null;

  @Field(() => [ID], { nullable: true, description: 'Of the keys of these projects.' })
  projectId?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Deeds such as `key.revoked`.' })
  action?: string[] | null;
}

/** A key as it is now, and what was done to it. */
export type KeyChange = Sealed<{ action: string; key: ApiKey }>;

/** The changes of a workspace's keys, in the order of their seals. INVALID_REQUEST for a cursor that is no place in the trail. */
export function keyChanges(reader: EntityManager, { workspaceId, filter, after }: { workspaceId: string; filter: KeyChangeFilter; after?: string | null | undefined }): Promise<Feed<KeyChange>> {
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
      return new Map(changes.flatMap((event) => (keys.has(event.subjectId) ? [[event.id, { action: event.action, key: keys.get(event.subjectId) as ApiKey }]] : [])));
    },
  });
}
