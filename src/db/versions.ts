import { z } from 'zod';
import { TollgateError } from '../errors';

/** The rule for `expectedVersion` in an input. */
export const expectedVersionRule = z.int('must be a whole number').min(1, 'must be 1 or more').nullish();

/** Part of every UPDATE of an object with a version: increases the version by one. */
export const nextVersion = { version: () => 'version + 1' };

/** Throws CONFLICT with the current version if a change expects another version. Call it under the row's lock, before the first write. */
export function requireVersion(expected: number | null | undefined, { version }: { version: number }): void {
  if (expected === null || expected === undefined || expected === version) return;
  throw new TollgateError(
    'CONFLICT',
    `This was changed meanwhile: it is at version ${version}, not ${expected}. Read it again and repeat the change.`,
    { currentVersion: version },
  );
}
