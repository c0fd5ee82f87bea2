import { In, type FindOperator } from 'typeorm';
import { invalid } from '../errors';
import { storable } from '../lib/rules';

/** The most values that one filter of a list names. */
export const MAX_FILTER_VALUES = 1_000;

/** For `andWhere`: a property that is any of these values. INVALID_REQUEST for more of them than a database takes. */
export function anyOf<P extends string>(property: P, values: readonly string[], argument: string = property): Record<P, FindOperator<string>> {
  if (values.length > MAX_FILTER_VALUES) throw invalid({ path: ['filter', argument], message: `must be at most ${MAX_FILTER_VALUES} values` });
  return { [property]: In(storable(values)) } as Record<P, FindOperator<string>>;
}
