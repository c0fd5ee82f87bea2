import { Field, ID, InputType } from 'type-graphql';
import { anyOf, every, has, is } from '../db/filters';
import { NEWEST_FIRST } from '../db/keyset';
import type { List } from '../db/list';
import { Route } from './route.entity';

@InputType({ description: 'Routes that meet all given conditions. A list matches any of its values; an empty list matches nothing.' })
export class RouteFilter {
  @Field(() => [ID], { nullable: true, description: 'Routes with these actions.' })
  actionId?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Routes of these hosts, such as `api.example.com`.' })
  host?: string[] | null;

  @Field(() => String, {
    nullable: true,
    description: 'Routes with this text in their path: 1 to 100 characters; the case of A to Z does not matter.',
  })
  path?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Routes that are enabled, or disabled.' })
  enabled?: boolean | null;
}

/** The routes of the installation, newest first. */
export const ROUTES: List<Route, 'all', RouteFilter> = {
  entity: Route,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (_, { actionId, host, path, enabled }) => ({
    ranges: [{}],
    narrow: every(anyOf('actionId', actionId), anyOf('host', host), has(path, 'path'), is('enabled', enabled)),
  }),
};
