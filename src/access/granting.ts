import { z } from 'zod';
import { invalid } from '../errors';
import { isGrantable } from './permissions';

/** What a credential is granted, as an input says it. */
export const permissionsRule = z.array(z.string().max(130, 'is too long')).max(200, 'must be at most 200 permissions');

/** INVALID_REQUEST where one of the names is no `known` permission and no wildcard for some. What was granted before stays grantable: an action may have gone. */
export function requireKnownPermissions(names: readonly string[], known: readonly string[], granted: readonly string[] = []): void {
  const issues = names.flatMap((name, index) =>
    isGrantable(name, [...known, ...granted]) ? [] : [{ path: ['input', 'permissions', index], message: 'is not a permission, nor a part of one with .* after it' }],
  );
  if (issues.length > 0) throw invalid(...issues);
}
