import { Field, ObjectType } from 'type-graphql';

@ObjectType({ description: 'Something that a key, role or service account can be granted.' })
export class Permission {
  @Field({ description: 'As it is granted, such as `face.detect`.' })
  name: string;

  @Field({ description: 'What it allows.' })
  description: string;
}

/**
 * The bundles of administrative permissions. These are a namespace of their own: no action may claim one, and none of them runs an
 * action. They begin to act when keys may administer.
 */
export const BUNDLES: readonly Permission[] = [
  { name: 'read', description: 'Administration: see the workspace, its projects, keys, budgets and logs. Runs no action. Not in force yet.' },
  { name: 'write', description: 'Administration: all of read, and change projects, keys and budgets. Runs no action. Not in force yet.' },
  { name: 'admin', description: 'Administration: all of write, and manage people and roles. Runs no action. Not in force yet.' },
  { name: 'webhook', description: 'Administration: manage where the workspace’s events are sent. Runs no action. Not in force yet.' },
];

const NAME = /^[a-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$/;

/** Whether an action may be guarded by a permission of this name. */
export function isActionPermission(name: string): boolean {
  return name.length <= 128 && NAME.test(name) && !BUNDLES.some((bundle) => name === bundle.name || name.startsWith(`${bundle.name}.`));
}

/** Whether one of the `granted` names, or a wildcard among them, covers `required`. */
export function covers(granted: readonly string[], required: string): boolean {
  return granted.some((name) => name === required || (name.endsWith('.*') && required.startsWith(name.slice(0, -1))));
}

/** Whether `name` is one of the `known` permissions, or `PART.*` where PART begins at least one of them. */
export function isGrantable(name: string, known: readonly string[]): boolean {
  return known.includes(name) || (name.endsWith('.*') && known.some((one) => one.startsWith(name.slice(0, -1))));
}
