import { TollgateError, notFound } from '../errors';
import type { Principal } from './principal';

// Who may do what, as sentences. Pure: of a principal and a target, nothing else.

/** The operator may do everything, and what is marked "operator only" nobody else. */
export const mayOperate = (principal: Principal): boolean => principal.kind === 'OPERATOR';

/** Whether a workspace, and all that is in it, exists for this principal. */
export const mayKnowWorkspace = (principal: Principal, _workspaceId: string): boolean => mayOperate(principal);

/** Whether it may change what is in a workspace that it knows of. */
export const mayAdministerWorkspace = (principal: Principal, workspaceId: string): boolean => mayKnowWorkspace(principal, workspaceId);

/** FORBIDDEN for anyone but the operator. */
export function requireOperator(principal: Principal): void {
  if (!mayOperate(principal)) throw new TollgateError('FORBIDDEN');
}

/** `target`, where it exists and the principal may know of it and change it; else NOT_FOUND, the same for all three. */
export function requireAdministered<T extends { workspaceId: string }>(principal: Principal, target: T | null): T {
  return target && mayAdministerWorkspace(principal, target.workspaceId) ? target : notFound();
}
