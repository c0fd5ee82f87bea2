import { z } from 'zod';
import { TollgateError } from '../errors';

/** What an input's `expectedVersion` may be. */
export const expectedVersionRule = z.int('must be a whole number').min(1, 'must be 1 or more').nullish();

/** For an UPDATE, beside what it changes. */
export const nextVersion = { version: () => 'version + 1' };

/** CONFLICT, with the version that there is, where a change is meant for another one. To be asked under the row's lock, before anything is written. */
export function requireVersion(expected: number | null | undefined, { version }: { version: number }): void {
  if (expected === null || expected === undefined || expected === version) return;
  throw new TollgateError('CONFLICT', `This was changed meanwhile: it is at version ${version}, not ${expected}.`, { currentVersion: version });
}
