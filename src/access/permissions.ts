import { Field, ObjectType } from 'type-graphql';

@ObjectType({ description: 'Something that a key, role or service account can be granted.' })
export class Permission {
  @Field({ description: 'As it is granted, such as `face.detect`.' })
  name: string;

  @Field({ description: 'What it allows.' })
  description: string;
}

/**
 * The administrative permissions. These are a namespace of their own: no action may claim one, and none of them runs an action. Every member
 * of a workspace, and every key that holds any of them, knows that workspace and its projects; the rest is as they say.
 */
export const ADMINISTRATIVE_PERMISSIONS = [
  { name: 'read', description: 'Administration: see everything of the workspace, which is all that begins with `read.`. Runs no action.' },
  { name: 'read.keys', description: 'Administration: see the keys and service accounts of the workspace, their permissions and status.' },
  { name: 'read.logs', description: 'Administration: see the logs of all calls of the workspace.' },
  { name: 'read.wallet', description: 'Administration: see the workspace’s wallet, budgets and ledgers.' },
  { name: 'read.members', description: 'Administration: see the workspace’s people, invitations, roles and OAuth clients.' },
  { name: 'read.audit', description: 'Administration: see and export the workspace’s audit trail.' },
  { name: 'write', description: 'Administration: see and change the workspace, which is all of `read`, and all that begins with `write.`. Runs no action.' },
  { name: 'write.workspace', description: 'Administration: change the workspace’s name and key prefix.' },
  { name: 'write.projects', description: 'Administration: create, change and archive the workspace’s projects.' },
  { name: 'write.keys', description: 'Administration: make, change, rotate and end keys and service accounts of the workspace, for all of its projects.' },
  { name: 'write.budgets', description: 'Administration: move credits between the workspace’s wallet and its budgets.' },
  { name: 'webhook', description: 'Administration: manage where the workspace’s events are sent. Runs no action.' },
  { name: 'admin', description: 'Administration: everything in the workspace, which is all of `write` and `webhook`, and all that begins with `admin.`. Runs no action.' },
  { name: 'admin.members', description: 'Administration: invite people to the workspace, remove them, and set their roles.' },
  { name: 'admin.roles', description: 'Administration: make and change roles of the workspace’s own.' },
  { name: 'admin.clients', description: 'Administration: make, change and delete the workspace’s OAuth clients.' },
  { name: 'admin.security', description: 'Administration: require a second factor of everybody in the workspace. What makes an owner.' },
] as const satisfies readonly Permission[];

export type AdministrativePermission = (typeof ADMINISTRATIVE_PERMISSIONS)[number]['name'];

/** Each bundle, and the first parts of all names that it holds. */
const BUNDLES: Record<string, readonly string[]> = {
  read: ['read'],
  write: ['write', 'read'],
  webhook: ['webhook'],
  admin: ['admin', 'write', 'read', 'webhook'],
};

const NAME = /^[a-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;

const firstPart = (name: string): string => name.split('.', 1)[0] as string;

/** Whether a permission, or a wildcard, is one of administration rather than of an action. */
export const isAdministrative = (name: string): boolean => Object.hasOwn(BUNDLES, firstPart(name));

/** What OpenID Connect calls scopes: what of a person an application may know. None of these runs an action. */
const IDENTITY_SCOPES = ['openid', 'profile', 'email', 'offline_access'] as const;

export type IdentityScope = (typeof IDENTITY_SCOPES)[number];

export const isIdentityScope = (name: string): name is IdentityScope => (IDENTITY_SCOPES as readonly string[]).includes(name);

/** The most permissions that a key or a service account is granted by name. */
export const MAX_GRANTED_PERMISSIONS = 200;

/** Whether an action may be guarded by a permission of this name. */
export function isActionPermission(name: string): boolean {
  return name.length <= 128 && NAME.test(name) && !isAdministrative(name) && !isIdentityScope(name);
}

/** Whether one of the `granted` names, or a wildcard among them, covers `required`. */
export function covers(granted: readonly string[], required: string): boolean {
  return granted.some((name) => name === required || (name.endsWith('.*') && required.startsWith(name.slice(0, -1))));
}

/** The same, where a bundle among the `granted` covers all that it holds. */
export function allows(granted: readonly string[], required: string): boolean {
  return covers(granted, required) || granted.some((name) => Object.hasOwn(BUNDLES, name) && BUNDLES[name]?.includes(firstPart(required)));
}

/** Those of what was `asked` for that the `granted` cover; all of these where nothing in particular was. */
export function narrowedTo(asked: readonly string[] | null, granted: readonly string[]): readonly string[] {
  return asked === null ? granted : asked.filter((name) => allows(granted, name));
}

/** Whether `name` is one of the `known` permissions, or `PART.*` where PART begins at least one of them. */
export function isGrantable(name: string, known: readonly string[]): boolean {
  return known.includes(name) || (name.endsWith('.*') && known.some((one) => one.startsWith(name.slice(0, -1))));
}
