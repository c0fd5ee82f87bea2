import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../../db/columns';
import { VERSION } from '../../lib/versions';
import { MaxItems, Node } from '../../lib/graphql-types';
import { ADMINISTRATIVE_PERMISSIONS } from '../permissions';

@ObjectType({ implements: Node, description: 'A set of administrative permissions by a name, granted to people, keys and service accounts. Five are built in; a workspace may have its own.' })
@Entity('roles')
@Index('roles_by_name', ['workspaceId', 'name'], { unique: true })
export class Role implements Node {
  @Field(() => ID, { description: 'Begins with `rol_`; `rol_owner` and the like where it is built in.' })
  @PrimaryColumn(idColumn)
  id: string;

  /** Null for those that are built in, which are in no table. */
  @Column(idColumn)
  workspaceId: string | null;

  @Field({ description: 'What people call it: 1 to 100 characters, unique in its workspace.' })
  @Column(textColumn(100))
  name: string;

  @MaxItems(ADMINISTRATIVE_PERMISSIONS.length)
  @Field(() => [String], { description: 'What it grants.' })
  @Column('simple-json')
  permissions: string[];

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field(() => Date, { nullable: true, description: 'When it was made; null where it is built in.' })
  @Column(instantColumn)
  createdAt: Date | null;
}

const builtIn = (name: string, permissions: string[]): Role =>
  Object.freeze(Object.assign(new Role(), { id: `rol_${name.toLowerCase()}`, workspaceId: null, name, permissions, version: 1, createdAt: null }));

/** The roles that every workspace has, from the most to the least that one may do. */
export const BUILT_IN_ROLES: readonly Role[] = [
  builtIn('OWNER', ['admin']),
  builtIn('ADMIN', ['write', 'webhook', 'admin.members', 'admin.roles', 'admin.clients']),
  builtIn('DEVELOPER', ['read.keys', 'read.logs', 'read.wallet', 'read.members', 'write.projects', 'write.keys']),
  builtIn('BILLING', ['read.logs', 'read.wallet', 'write.budgets']),
  builtIn('VIEWER', ['read.keys', 'read.logs', 'read.wallet', 'read.members']),
];

/** The role whose last holder in a workspace can neither go nor be given another. */
export const OWNER_ROLE_ID = 'rol_owner';

export const builtInRole = (id: string): Role | undefined => BUILT_IN_ROLES.find((role) => role.id === id);
