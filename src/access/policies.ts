import { TollgateError, notFound } from '../errors';
import { ADMINISTRATIVE_PERMISSIONS, allows, covers, isAdministrative, type AdministrativePermission } from './permissions';
import type { Actor, OperatorPrincipal, SystemActor } from './principal';

// Who may do what, as sentences. Pure: of an actor and a target, nothing else.

/** The operator may do everything, and what is marked "operator only" nobody else. */
export const mayOperate = (actor: Actor): actor is OperatorPrincipal | SystemActor => actor.kind === 'OPERATOR' || actor.kind === 'SYSTEM';

/** What an actor other than the operator was granted in a workspace; undefined where that workspace does not exist for it. */
function grantsIn(actor: Actor, workspaceId: string): readonly string[] | undefined {
  if (actor.kind === 'USER') return actor.permissionsByWorkspace.get(workspaceId);
  if (mayOperate(actor)) return undefined;
  return actor.workspaceId === workspaceId && actor.permissions.some(isAdministrative) ? actor.permissions : undefined;
}

/** A workspace and its projects exist for the operator, for its members, and for its keys, service accounts and applications that administer anything. */
export const mayKnowWorkspace = (actor: Actor, workspaceId: string): boolean => mayOperate(actor) || grantsIn(actor, workspaceId) !== undefined;

/** The workspaces that exist for an actor; undefined where all of them do. */
export function knownWorkspaces(actor: Actor): string[] | undefined {
  if (mayOperate(actor)) return undefined;
  if (actor.kind === 'USER') return [...actor.permissionsByWorkspace.keys()];
  return mayKnowWorkspace(actor, actor.workspaceId) ? [actor.workspaceId] : [];
}

/** Whether an actor holds a permission in a workspace. */
export function may(actor: Actor, permission: AdministrativePermission, workspaceId: string): boolean {
  return mayOperate(actor) || allows(grantsIn(actor, workspaceId) ?? [], permission);
}

/** Every administrative permission that an actor holds in a workspace. */
export const heldIn = (actor: Actor, workspaceId: string): AdministrativePermission[] =>
  ADMINISTRATIVE_PERMISSIONS.map(({ name }) => name).filter((name) => may(actor, name, workspaceId));

/**
 * Nobody grants what they lack. A permission of an action is held by keys, service accounts and applications alone: a person who may write
 * keys may grant it, any of those that may write keys only where it holds it itself. And none of those hands on the right to make
 * credentials: what it made could make it anew, and outlive its end.
 */
export function mayGrant(actor: Actor, permission: string, workspaceId: string): boolean {
  return mayOperate(actor) || (holds(actor, permission, workspaceId) && (actor.kind === 'USER' || !allows([permission], 'write.keys')));
}

function holds(actor: Actor, permission: string, workspaceId: string): boolean {
  if (mayOperate(actor)) return true;
  const held = grantsIn(actor, workspaceId) ?? [];
  if (isAdministrative(permission)) return allows(held, permission);
  return actor.kind === 'USER' ? allows(held, 'write.keys') : covers(held, permission);
}

/** FORBIDDEN for anyone but the operator. */
export function requireOperator(actor: Actor): void {
  if (!mayOperate(actor)) throw new TollgateError('FORBIDDEN');
}

/** FORBIDDEN where an actor lacks a permission in a workspace that it knows of. */
export function requirePermission(actor: Actor, permission: AdministrativePermission, workspaceId: string): void {
  if (!may(actor, permission, workspaceId)) throw lacking(permission);
}

/** FORBIDDEN where an actor would grant what it lacks, or may not hand on. */
export function requireGrants(actor: Actor, permissions: readonly string[], workspaceId: string): void {
  requireHeld(actor, permissions, workspaceId);
  const kept = permissions.find((permission) => !mayGrant(actor, permission, workspaceId));
  if (kept !== undefined) throw new TollgateError('FORBIDDEN', `Only a person may hand on the permission ${kept}.`);
}

/** FORBIDDEN where an actor would take away what it lacks. */
export function requireHeld(actor: Actor, permissions: readonly string[], workspaceId: string): void {
  const missing = permissions.find((permission) => !holds(actor, permission, workspaceId));
  if (missing !== undefined) throw lacking(missing);
}

/** `target`, where it exists and the actor may know of it; else NOT_FOUND, the same for both. FORBIDDEN where it lacks the permission to change it. */
export function requireAdministered<T extends { workspaceId: string }>(actor: Actor, target: T | null, permission: AdministrativePermission): T {
  if (!target || !mayKnowWorkspace(actor, target.workspaceId)) return notFound();
  requirePermission(actor, permission, target.workspaceId);
  return target;
}

const lacking = (permission: string): TollgateError =>
  new TollgateError('FORBIDDEN', `This needs the permission ${permission}.`, { required_permission: permission });
