import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { MAX_GRANTED_PERMISSIONS } from '../access/permissions';
import { bigintColumn, idColumn, instantColumn, textColumn } from '../db/columns';
import { VERSION } from '../lib/versions';
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
  description: "The first that holds of REVOKED, EXPIRED, DISABLED (its project's archiving included), ACTIVE.",
  valuesConfig: {
    ACTIVE: { description: 'It works.' },
    DISABLED: { description: 'Switched off for now, or its project is archived.' },
    EXPIRED: { description: 'Its expiresAt has passed.' },
    REVOKED: { description: 'Ended for good.' },
  },
});

/** The most blocks of addresses that may use a key. */
export const MAX_ALLOWED_IPS = 200;

@ObjectType({ implements: Node, description: "A caller's credential, bound to one project. Its secret is shown once, when minted or rotated." })
@Entity('api_keys')
@Index('api_keys_by_workspace', ['workspaceId', 'createdAt', 'id'])
@Index('api_keys_by_project', ['projectId', 'createdAt', 'id'])
@Index('api_keys_by_creator', ['workspaceId', 'createdByUserId', 'createdAt', 'id'])
@Index('api_keys_by_name', ['workspaceId', 'name', 'id'])
@Index('api_keys_by_name_in_project', ['projectId', 'name', 'id'])
export class ApiKey implements Node {
  @Field(() => ID, { description: 'Begins with `key_`; stays the same through rotations.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Column(idColumn)
  projectId: string;

  @Field({ description: 'What people call it: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @Field(() => Environment, { description: 'Whether its calls are billed.' })
  @Column(textColumn(8))
  environment: Environment;

  @Field({ description: 'Enough to recognise the secret and too little to use it, such as `acme_live_...x7Qp`.' })
  @Column(textColumn(32))
  hint: string;

  @MaxItems(MAX_GRANTED_PERMISSIONS)
  @Field(() => [String], { description: 'Granted permissions: names from `Query.permissions`, or a prefix with a wildcard such as `face.*`.' })
  @Column('simple-json')
  permissions: string[];

  /** The role whose permissions it has besides; null where it has none. */
  @Column({ ...idColumn, nullable: true })
  roleId: string | null;

  @MaxItems(MAX_ALLOWED_IPS)
  @Field(() => [String], { description: 'CIDR blocks that may use the key, such as `10.0.0.0/8` or `2001:db8::/32`; empty allows all. At most 200.' })
  @Column('simple-json')
  allowedIps: string[];

  @Column('boolean')
  enabled: boolean;

  @Field(() => Date, { nullable: true, description: 'From then on it is refused; null where it never expires.' })
  @Column({ ...instantColumn, nullable: true })
  expiresAt: Date | null;

  @Field(() => Date, { nullable: true, description: 'When it was revoked; null while it was not.' })
  @Column({ ...instantColumn, nullable: true })
  revokedAt: Date | null;

  @Field(() => String, { nullable: true, description: 'As `revokeKey` was given it.' })
  @Column({ ...textColumn(500), nullable: true })
  revokedReason: string | null;

  @Field(() => Date, { nullable: true, description: 'When its current secret replaced another; null where it never did.' })
  @Column({ ...instantColumn, nullable: true })
  rotatedAt: Date | null;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'When it was minted.' })
  @Column(instantColumn)
  createdAt: Date;

  /** What kind of actor minted it; null of a key that is older than this column. */
  @Column({ ...textColumn(16), nullable: true })
  createdByKind: string | null;

  @Column({ ...idColumn, nullable: true })
  createdById: string | null;

  /** The person who minted it: by themselves, through an application, or with a key of theirs. Null if there was none. */
  @Column({ ...idColumn, nullable: true })
  createdByUserId: string | null;
}

/** One secret of a key, as its digest. Kept when it has ended, so that its bearer is told so. */
@Entity('key_secrets')
@Index('key_secrets_by_key', ['keyId'])
export class KeySecret {
  /** HMAC-SHA256 of the secret with the pepper, base64url. */
  @PrimaryColumn(textColumn(43))
  digest: string;

  @Column('int')
  pepperVersion: number;

  @Column(idColumn)
  keyId: string;

  /** Until when it still works, replaced though it is; null for the current one. */
  @Column({ ...bigintColumn, nullable: true })
  graceUntil: number | null;

  /** Ended for good, whatever the clock says; null while it lives. */
  @Column({ ...bigintColumn, nullable: true })
  endedAt: number | null;

  @Column(instantColumn)
  createdAt: Date;
}
