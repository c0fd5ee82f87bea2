import { TollgateError, notFound } from '../errors';
import { ADMINISTRATIVE_PERMISSIONS, allows, covers, isAdministrative, type AdministrativePermission } from './permissions';
import type { Actor, OperatorPrincipal, SystemActor } from './principal';

// Rules for permissions. Pure functions of an actor and a target.

/** The operator and Tollgate itself may do everything. Other actors may not use fields marked "operator only". */
export const mayOperate = (actor: Actor): actor is OperatorPrincipal | SystemActor => actor.kind === 'OPERATOR' || actor.kind === 'SYSTEM';

/** The permissions of an actor in a workspace, or undefined if the actor may not see the workspace. Always undefined for the operator. */
function grantsIn(actor: Actor, workspaceId: string): readonly string[] | undefined {
  if (actor.kind === 'USER') return actor.permissionsByWorkspace.get(workspaceId);
  if (mayOperate(actor)) return undefined;
  return actor.workspaceId === workspaceId && actor.permissions.some(isAdministrative) ? actor.permissions : undefined;
}

/** The operator, members, and keys, service accounts and applications with an administrative permission may see a workspace. */
export const mayKnowWorkspace = (actor: Actor, workspaceId: string): boolean =>
  mayOperate(actor) || grantsIn(actor, workspaceId) !== undefined;

/** The workspaces that an actor may see, or undefined if it may see all. */
export function knownWorkspaces(actor: Actor): string[] | undefined {
  if (mayOperate(actor)) return undefined;
  if (actor.kind === 'USER') return [...actor.permissionsByWorkspace.keys()];
  return mayKnowWorkspace(actor, actor.workspaceId) ? [actor.workspaceId] : [];
}

/** Whether an actor has an administrative permission in a workspace. */
export function may(actor: Actor, permission: AdministrativePermission, workspaceId: string): boolean {
  return mayOperate(actor) || allows(grantsIn(actor, workspaceId) ?? [], permission);
}

/** All administrative permissions of an actor in a workspace. */
export const heldIn = (actor: Actor, workspaceId: string): AdministrativePermission[] =>
  ADMINISTRATIVE_PERMISSIONS.map(({ name }) => name).filter((name) => may(actor, name, workspaceId));

/** The permissions of actions among `ofActions` that an actor has in a workspace. The operator has all, and a person has none. */
export const heldOfActions = (actor: Actor, workspaceId: string, ofActions: readonly string[]): string[] =>
  ofActions.filter((name) => mayOperate(actor) || covers(grantsIn(actor, workspaceId) ?? [], name));

/**
 * Whether an actor may grant a permission. An actor can only grant a permission that it has. People never have permissions of actions, so a
 * person with `write.keys` may grant all of them. A key, service account or application may never grant `write.keys` or a bundle with it.
 * Otherwise it could make credentials that make more credentials, and these would keep working after it has ended.
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

/** Throws FORBIDDEN if the actor is not the operator or Tollgate itself. */
export function requireOperator(actor: Actor): void {
  if (!mayOperate(actor)) throw new TollgateError('FORBIDDEN');
}

/** Throws FORBIDDEN if an actor lacks a permission in a workspace that it may see. */
export function requirePermission(actor: Actor, permission: AdministrativePermission, workspaceId: string): void {
  if (!may(actor, permission, workspaceId)) throw lacking(permission);
}

/** Throws FORBIDDEN if an actor lacks one of the permissions, or may not grant it. */
export function requireGrants(actor: Actor, permissions: readonly string[], workspaceId: string): void {
  requireHeld(actor, permissions, workspaceId);
  const refused = permissions.find((permission) => !mayGrant(actor, permission, workspaceId));
  if (refused !== undefined) throw new TollgateError('FORBIDDEN', `Only a person may grant the permission ${refused}.`);
}

/** Throws FORBIDDEN if an actor lacks one of the permissions. An actor can only take away permissions that it has. */
export function requireHeld(actor: Actor, permissions: readonly string[], workspaceId: string): void {
  const missing = permissions.find((permission) => !holds(actor, permission, workspaceId));
  if (missing !== undefined) throw lacking(missing);
}

/**
 * Returns `target` if the actor may see it and has the permission. Throws the same NOT_FOUND if it does not exist or the actor may not see
 * it, FORBIDDEN if the actor lacks the permission.
 */
export function requireAdministered<T extends { workspaceId: string }>(
  actor: Actor,
  target: T | null,
  permission: AdministrativePermission,
): T {
  if (!target || !mayKnowWorkspace(actor, target.workspaceId)) return notFound();
  requirePermission(actor, permission, target.workspaceId);
  return target;
}

const lacking = (permission: string): TollgateError =>
  new TollgateError('FORBIDDEN', `This needs the permission ${permission}.`, { required_permission: permission });
