import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';
import { VERSION } from '../../lib/version-descriptions';
import { MaxItems, Node } from '../../lib/graphql-types';
import { ADMINISTRATIVE_PERMISSIONS } from '../permissions';

@ObjectType({
  implements: Node,
  description:
    'A named set of administrative permissions for people, keys and service accounts. Five roles are built in; a workspace may have its ' +
    'own.',
})
@Entity('roles')
@Index('roles_by_name', ['workspaceId', 'name'], { unique: true })
export class Role implements Node {
  @Field(() => ID, { description: 'Begins with `rol_`. Built-in roles have fixed ids, such as `rol_owner`.' })
  @PrimaryColumn(idColumn)
  id: string;

  /** Null for built-in roles, which are not stored. */
  @Column(idColumn)
  workspaceId: string | null;

  @Field({ description: 'Its name: 1 to 100 characters, unique in the workspace.' })
  @Column(textColumn(100))
  name: string;

  @MaxItems(ADMINISTRATIVE_PERMISSIONS.length)
  @Field(() => [String], { description: 'The permissions that it grants.' })
  @Column('simple-json')
  permissions: string[];

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field(() => Date, { nullable: true, description: 'Time when it was created, or null for a built-in role.' })
  @Column(instantColumn)
  createdAt: Date | null;
}

const builtIn = (name: string, permissions: string[]): Role =>
  Object.freeze(
    Object.assign(new Role(), { id: `rol_${name.toLowerCase()}`, workspaceId: null, name, permissions, version: 1, createdAt: null }),
  );

/** The roles that every workspace has. The order of the list is the order in the API. */
export const BUILT_IN_ROLES: readonly Role[] = [
  builtIn('OWNER', ['admin']),
  builtIn('ADMIN', ['write', 'webhook', 'admin.members', 'admin.roles', 'admin.clients']),
  builtIn('DEVELOPER', ['read.keys', 'read.logs', 'read.wallet', 'read.members', 'write.projects', 'write.keys']),
  builtIn('BILLING', ['read.logs', 'read.wallet', 'write.budgets']),
  builtIn('VIEWER', ['read.keys', 'read.logs', 'read.wallet', 'read.members']),
];

/** The last member of a workspace with this role can neither leave nor get another role. */
export const OWNER_ROLE_ID = 'rol_owner';

export const builtInRole = (id: string): Role | undefined => BUILT_IN_ROLES.find((role) => role.id === id);
