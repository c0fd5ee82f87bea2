import { IsNull } from 'typeorm';
import { NEWEST_FIRST } from '../db/keyset';
import type { List } from '../db/list';
import { OAuthClient } from './client.entity';

/** The applications of a workspace that are not deleted, newest first. */
export const CLIENTS: List<OAuthClient, string, object> = {
  entity: OAuthClient,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (workspaceId) => ({ ranges: [{ workspaceId }], narrow: (query) => query.andWhere({ deletedAt: IsNull() }) }),
};
