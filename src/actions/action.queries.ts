import { Field, InputType } from 'type-graphql';
import type { EntityManager } from 'typeorm';
import { anyOf, every, has, is } from '../db/filters';
import type { KeysetOrder } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { Action } from './action.entity';

@InputType({ description: 'Actions that meet all given conditions. A list matches any of its values; an empty list matches nothing.' })
export class ActionFilter {
  @Field(() => [String], { nullable: true, description: 'Actions of these services, such as `face`.' })
  service?: string[] | null;

  @Field(() => String, {
    nullable: true,
    description: 'Actions with this text in their name: 1 to 100 characters; the case of A to Z does not matter.',
  })
  name?: string | null;

  @Field(() => Boolean, { nullable: true, description: 'Actions that are enabled, or disabled.' })
  enabled?: boolean | null;
}

const BY_NAME: KeysetOrder<Action> = { columns: ['service', 'name'], types: ['string', 'string'], direction: 'ASC' };

/** The catalogue of actions, ordered by service and name. */
export const ACTIONS: List<Action, 'all', ActionFilter> = {
  entity: Action,
  orderOf: () => BY_NAME,
  sourceOf: (_, { service, name, enabled }) => {
    const ranges = lookedUp<Action>('service', service);
    return {
      ranges: ranges ?? [{}],
      narrow: every(ranges ? undefined : anyOf('service', service), has(name, 'name'), is('enabled', enabled)),
    };
  },
};

/** The permissions of all actions, each one once, in the order of `Query.permissions`. The only key is `all`. */
export async function permissionsOfActions(_: readonly string[], reader: EntityManager): Promise<Map<'all', string[]>> {
  const actions = await reader.find(Action, { select: { permission: true }, order: { permission: 'ASC' } });
  return new Map([['all', [...new Set(actions.map(({ permission }) => permission))]]]);
}
