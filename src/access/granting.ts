import { z } from 'zod';
import { invalid } from '../errors';
import { isGrantable } from './permissions';

/** What a credential is granted, as an input says it. */
export const permissionsRule = z.array(z.string().max(130, 'is too long')).max(200, 'must be at most 200 permissions');

const MAX_GRACE_SECONDS = 2_592_000; // 30 days

/** How long the secret before a new one works on. */
export const graceSecondsRule = z.int('must be a whole number of seconds').min(0, 'must be 0 or more').max(MAX_GRACE_SECONDS, 'must be at most 2,592,000 (30 days)');

/** INVALID_REQUEST where one of the names is no `known` permission and no wildcard for some. What was granted before stays grantable: an action may have gone. */
export function requireKnownPermissions(names: readonly string[], known: readonly string[], granted: readonly string[] = []): void {
  const issues = names.flatMap((name, index) =>
    isGrantable(name, [...known, ...granted]) ? [] : [{ path: ['input', 'permissions', index], message: 'is not a permission, nor a part of one with .* after it' }],
  );
  if (issues.length > 0) throw invalid(...issues);
}
