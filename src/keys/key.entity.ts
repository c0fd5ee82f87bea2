import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { MAX_GRANTED_PERMISSIONS } from '../access/permissions';
import { StoredSecret } from '../access/stored-secret';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { VERSION } from '../lib/version-descriptions';
import { MaxItems, Node } from '../lib/graphql-types';
import { Environment } from '../tenancy/environment';

export enum KeyStatus {
  ACTIVE = 'ACTIVE',
  DISABLED = 'DISABLED',
  EXPIRED = 'EXPIRED',
  REVOKED = 'REVOKED',
}
registerEnumType(KeyStatus, {
  name: 'KeyStatus',
  description: 'The status of a key. If several apply: the first of REVOKED, EXPIRED, DISABLED, ACTIVE.',
  valuesConfig: {
    ACTIVE: { description: 'The key works.' },
    DISABLED: { description: 'The key is disabled, or its project is archived.' },
    EXPIRED: { description: 'The expiresAt of the key has passed.' },
    REVOKED: { description: 'The key was revoked for ever.' },
  },
});

/** The most addresses and blocks in a key's list. */
export const MAX_ALLOWED_IPS = 200;

@ObjectType({
  implements: Node,
  description: "A caller's credential, bound to one project. Its secret is shown once, when minted or rotated.",
})
@Entity('api_keys')
@Index('api_keys_by_workspace', ['workspaceId', 'createdAt', 'id'])
@Index('api_keys_by_project', ['projectId', 'createdAt', 'id'])
@Index('api_keys_by_creator', ['workspaceId', 'createdByUserId', 'createdAt', 'id'])
@Index('api_keys_by_name', ['workspaceId', 'name', 'id'])
@Index('api_keys_by_name_in_project', ['projectId', 'name', 'id'])
export class ApiKey implements Node {
  @Field(() => ID, { description: 'Begins with `key_`. A rotation does not change it.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Column(idColumn)
  projectId: string;

  @Field({ description: 'Its name: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @Field(() => Environment, { description: 'Whether its calls are billed.' })
  @Column(textColumn(8))
  environment: Environment;

  @Field({ description: 'The visible part of the secret, by which people recognise it, such as `acme_live_...x7Qp`.' })
  @Column(textColumn(32))
  hint: string;

  @MaxItems(MAX_GRANTED_PERMISSIONS)
  @Field(() => [String], {
    description: 'Granted permissions: names from `Query.permissions`, or a prefix with a wildcard such as `face.*`.',
  })
  @Column('simple-json')
  permissions: string[];

  /** The role that adds its permissions, or null. */
  @Column({ ...idColumn, nullable: true })
  roleId: string | null;

  @MaxItems(MAX_ALLOWED_IPS)
  @Field(() => [String], {
    description: 'CIDR blocks that may use the key, such as `10.0.0.0/8` or `2001:db8::/32`; empty allows all. At most 200.',
  })
  @Column('simple-json')
  allowedIps: string[];

  @Column('boolean')
  enabled: boolean;

  @Field(() => Date, { nullable: true, description: 'Time from which the key is refused, or null if it never expires.' })
  @Column({ ...instantColumn, nullable: true })
  expiresAt: Date | null;

  @Field(() => Date, { nullable: true, description: 'Time when it was revoked, or null.' })
  @Column({ ...instantColumn, nullable: true })
  revokedAt: Date | null;

  @Field(() => String, { nullable: true, description: 'The reason of the revocation, or null.' })
  @Column({ ...textColumn(500), nullable: true })
  revokedReason: string | null;

  @Field(() => Date, { nullable: true, description: 'Time of the last rotation, or null.' })
  @Column({ ...instantColumn, nullable: true })
  rotatedAt: Date | null;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'Time when it was minted.' })
  @Column(instantColumn)
  createdAt: Date;

  /** The kind of the actor that minted it; null for a key that is older than this column. */
  @Column({ ...textColumn(16), nullable: true })
  createdByKind: string | null;

  @Column({ ...idColumn, nullable: true })
  createdById: string | null;

  /** The person who minted it directly, through an application, or with one of their keys. Null if no person did. */
  @Column({ ...idColumn, nullable: true })
  createdByUserId: string | null;
}

/** A secret of a key. */
@Entity('key_secrets')
@Index('key_secrets_by_key', ['keyId'])
export class KeySecret extends StoredSecret {
  @Column(idColumn)
  keyId: string;
}
