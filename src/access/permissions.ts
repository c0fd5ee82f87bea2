import { Field, ObjectType } from 'type-graphql';

@ObjectType({ description: 'A permission that can be granted to a key, a role or a service account.' })
export class Permission {
  @Field({ description: 'The name in a grant, such as `face.detect`.' })
  name: string;

  @Field({ description: 'The operations that it allows.' })
  description: string;
}

/**
 * The administrative permissions. Their first parts are reserved: no action may use one. None of them runs an action. Every member of a
 * workspace, and every key with one of them, can see the workspace and its projects. Everything else needs a specific permission.
 */
export const ADMINISTRATIVE_PERMISSIONS = [
  { name: 'read', description: 'Administration: all of `read.*`: see everything in the workspace. Runs no action.' },
  { name: 'read.keys', description: 'Administration: see the keys and service accounts of the workspace, their permissions and status.' },
  { name: 'read.logs', description: 'Administration: see the logs of all calls of the workspace.' },
  { name: 'read.wallet', description: 'Administration: see the workspace’s wallet, budgets and ledgers.' },
  { name: 'read.members', description: 'Administration: see the workspace’s people, invitations, roles and OAuth clients.' },
  { name: 'read.audit', description: 'Administration: see and export the workspace’s audit trail.' },
  {
    name: 'write',
    description: 'Administration: `read` and all of `write.*`: see and change the workspace. Runs no action.',
  },
  { name: 'write.workspace', description: 'Administration: change the workspace’s name and key prefix.' },
  { name: 'write.projects', description: 'Administration: create, change and archive the workspace’s projects.' },
  {
    name: 'write.keys',
    description: 'Administration: create, change, rotate and end the keys and service accounts of all projects of the workspace.',
  },
  { name: 'write.budgets', description: 'Administration: move credits between the workspace’s wallet and its budgets.' },
  {
    name: 'verify.keys',
    description: 'Administration: verify the credentials of the workspace from own code, and charge or hold credits for their calls.',
  },
  { name: 'webhook', description: 'Administration: manage the addresses that receive the workspace’s events. Runs no action.' },
  {
    name: 'admin',
    description: 'Administration: `write`, `verify.keys`, `webhook` and all of `admin.*`: do everything in the workspace. Runs no action.',
  },
  { name: 'admin.members', description: 'Administration: invite people to the workspace, remove them, and set their roles.' },
  { name: 'admin.roles', description: 'Administration: create and change the workspace’s own roles.' },
  { name: 'admin.clients', description: 'Administration: create, change and delete the workspace’s OAuth clients.' },
  {
    name: 'admin.security',
    description: 'Administration: require a second factor of all members of the workspace. Of the built-in roles, only OWNER has it.',
  },
] as const satisfies readonly Permission[];

export type AdministrativePermission = (typeof ADMINISTRATIVE_PERMISSIONS)[number]['name'];

/** The first parts of the permission names that each bundle includes. */
const BUNDLES: Record<string, readonly string[]> = {
  read: ['read'],
  write: ['write', 'read'],
  verify: ['verify'],
  webhook: ['webhook'],
  admin: ['admin', 'write', 'read', 'verify', 'webhook'],
};

const NAME = /^[a-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;

const firstPart = (name: string): string => name.split('.', 1)[0] as string;

/** Whether a permission or wildcard is administrative. Otherwise it belongs to an action. */
export const isAdministrative = (name: string): boolean => Object.hasOwn(BUNDLES, firstPart(name));

/** Scopes of OpenID Connect: the facts about a person that an application may read. None of them runs an action. */
const IDENTITY_SCOPES = ['openid', 'profile', 'email', 'offline_access'] as const;

export type IdentityScope = (typeof IDENTITY_SCOPES)[number];

export const isIdentityScope = (name: string): name is IdentityScope => (IDENTITY_SCOPES as readonly string[]).includes(name);

/** The most permissions that are granted directly to a key or a service account, in addition to its role. */
export const MAX_GRANTED_PERMISSIONS = 200;

/** Whether an action may require a permission with this name. */
export function isActionPermission(name: string): boolean {
  return name.length <= 128 && NAME.test(name) && !isAdministrative(name) && !isIdentityScope(name);
}

/** Whether one of the `granted` names, or a wildcard among them, covers `required`. */
export function covers(granted: readonly string[], required: string): boolean {
  return granted.some((name) => name === required || (name.endsWith('.*') && required.startsWith(name.slice(0, -1))));
}

/** Like `covers`, but a bundle among the `granted` names also covers every permission that it includes. */
export function allows(granted: readonly string[], required: string): boolean {
  return covers(granted, required) || granted.some((name) => Object.hasOwn(BUNDLES, name) && BUNDLES[name]?.includes(firstPart(required)));
}

/** All administrative permissions that the `granted` ones cover. Wildcards and bundles are expanded. */
export const administrativeOf = (granted: readonly string[]): AdministrativePermission[] =>
  ADMINISTRATIVE_PERMISSIONS.map(({ name }) => name).filter((name) => allows(granted, name));

/** The `asked` permissions that the `granted` ones cover, or all `granted` ones if `asked` is null. */
export function narrowedTo(asked: readonly string[] | null, granted: readonly string[]): readonly string[] {
  return asked === null ? granted : asked.filter((name) => allows(granted, name));
}

/** Whether `name` is one of the `known` permissions, or a wildcard `PART.*` that covers at least one of them. */
export function isGrantable(name: string, known: readonly string[]): boolean {
  return known.includes(name) || (name.endsWith('.*') && known.some((permission) => permission.startsWith(name.slice(0, -1))));
}
