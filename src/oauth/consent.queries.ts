import { IsNull } from 'typeorm';
import { NEWEST_FIRST } from '../db/keyset';
import type { List } from '../db/list';
import { Consent } from './consent.entity';

/** Active consents by person or by application, newest first. */
const consentsOf = (property: 'userId' | 'clientId'): List<Consent, string, { now: Date }> => ({
  entity: Consent,
  orderOf: () => NEWEST_FIRST,
  sourceOf: (id, { now }) => ({
    ranges: [{ [property]: id }],
    narrow: (query) => query.andWhere({ endedAt: IsNull() }).andWhere('row.expiresAt > :now', { now: now.getTime() }),
  }),
});

export const CONSENTS_OF_PERSON = consentsOf('userId');
export const CONSENTS_FOR_CLIENT = consentsOf('clientId');
