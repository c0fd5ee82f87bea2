import { Field, InputType } from 'type-graphql';
import { anyOf, every, has, is } from '../db/filters';
import type { KeysetOrder } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { Action } from './action.entity';

@InputType({ description: 'All that are given must hold; a list means any of these, an empty one none.' })
export class ActionFilter {
  @Field(() => [String], { nullable: true, description: 'Of these services, such as `face`.' })
  service?: string[] | null;

  @Field(() => String, { nullable: true, description: 'With this text in their name, A to Z in either case: 1 to 100 characters.' })
  name?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether they can be called.' })
  enabled?: boolean | null;
}

const BY_NAME: KeysetOrder<Action> = { columns: ['service', 'name'], types: ['string', 'string'], direction: 'ASC' };

/** The catalogue, by service and name. */
export const ACTIONS: List<Action, 'all', ActionFilter> = {
  entity: Action,
  orderOf: () => BY_NAME,
  sourceOf: (_, { service, name, enabled }) => {
    const ranges = lookedUp<Action>('service', service);
    return { ranges: ranges ?? [{}], narrow: every(ranges ? undefined : anyOf('service', service), has(name, 'name'), is('enabled', enabled)) };
  },
};
