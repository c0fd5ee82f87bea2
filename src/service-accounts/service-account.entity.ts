import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { MAX_GRANTED_PERMISSIONS } from '../access/permissions';
import { StoredSecret } from '../access/stored-secret';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { MaxItems, Node } from '../lib/graphql-types';
import { VERSION } from '../lib/version-descriptions';

export enum RotationStatus {
  OK = 'OK',
  DUE = 'DUE',
  OVERDUE = 'OVERDUE',
}
registerEnumType(RotationStatus, {
  name: 'RotationStatus',
  description: 'Whether the secret of a service account should be rotated. The secret works even if its rotation is due.',
  valuesConfig: {
    OK: { description: 'rotationDueAt is in the future.' },
    DUE: { description: 'rotationDueAt has passed.' },
    OVERDUE: { description: 'rotationDueAt passed a week ago or earlier.' },
  },
});

@ObjectType({
  implements: Node,
  description:
    'An identity of a workspace for unattended work. It calls in the projects that it was granted, and administers what its ' +
    'permissions and its role allow. Its secret is shown once, when it is created or rotated.',
})
@Entity('service_accounts')
@Index('service_accounts_by_workspace', ['workspaceId', 'createdAt', 'id'])
@Index('service_accounts_by_rotation', ['rotationDueToldAt', 'rotationDueAt'])
export class ServiceAccount implements Node {
  @Field(() => ID, { description: 'Begins with `svc_`; stays the same through rotations.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Field({ description: 'Display name: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @Field({ description: 'A part of the secret, enough to recognise it, such as `acme_svc_...x7Qp`.' })
  @Column(textColumn(32))
  hint: string;

  @MaxItems(MAX_GRANTED_PERMISSIONS)
  @Field(() => [String], {
    description: 'Granted permissions: names from `Query.permissions`, or a prefix with a wildcard such as `face.*`.',
  })
  @Column('simple-json')
  permissions: string[];

  /** A role that adds its permissions, or null. */
  @Column({ ...idColumn, nullable: true })
  roleId: string | null;

  @Field({ description: 'Whether its secrets work. false stops all of them at once, on every node, until it is enabled again.' })
  @Column('boolean')
  enabled: boolean;

  @Field(() => Int, { description: 'Days after which the secret should be rotated: 1 to 365.' })
  @Column('int')
  rotationDays: number;

  @Field({ description: 'Time when the secret should be rotated. It keeps working after that.' })
  @Column(instantColumn)
  rotationDueAt: Date;

  /** Time when the event about the due rotation was written, or null. */
  @Column({ ...instantColumn, nullable: true })
  rotationDueToldAt: Date | null;

  @Field(() => Date, { nullable: true, description: 'Time of the last rotation, or null if there was none.' })
  @Column({ ...instantColumn, nullable: true })
  rotatedAt: Date | null;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'Time of creation.' })
  @Column(instantColumn)
  createdAt: Date;
}

/** A secret or an access token of a service account. The end of an access token, or of a replaced secret, only ever becomes earlier. */
@Entity('service_account_secrets')
@Index('service_account_secrets_by_account', ['accountId'])
export class ServiceAccountSecret extends StoredSecret {
  @Column(idColumn)
  accountId: string;

  /** The scopes of an access token; null for a secret. */
  @Column({ type: 'simple-json', nullable: true })
  scopes: string[] | null;
}

/** A project that a service account may call in. */
@Entity('service_account_projects')
export class ServiceAccountProject {
  @PrimaryColumn(idColumn)
  accountId: string;

  @PrimaryColumn(idColumn)
  projectId: string;
}
