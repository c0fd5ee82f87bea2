import { anyOf, has } from '../db/filters';
import type { KeysetOrder } from '../db/keyset';
import { lookedUp, type List } from '../db/list';
import { Action } from './action.entity';

export interface ActionFilter {
  service?: string[] | null;
  name?: string | null;
  enabled?: boolean | null;
}

const BY_NAME: KeysetOrder<Action> = { columns: ['service', 'name'], types: ['string', 'string'], direction: 'ASC' };

/** The catalogue, by service and name. */
export const ACTIONS: List<Action, 'all', ActionFilter> = {
  entity: Action,
  orderOf: () => BY_NAME,
  sourceOf: (_, { service, name, enabled }) => {
    const ranges = lookedUp<Action>('service', service);
    const isNarrow = (service && !ranges) || typeof name === 'string' || typeof enabled === 'boolean';
    return {
      ranges: ranges ?? [{}],
      narrow: isNarrow
        ? (query) => {
            if (!ranges) anyOf(query, 'service', service);
            has(query, name, 'name');
            if (typeof enabled === 'boolean') query.andWhere({ enabled });
          }
        : undefined,
    };
  },
};
