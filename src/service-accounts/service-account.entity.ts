import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, instantColumn, textColumn } from '../db/columns';
import { Node } from '../lib/graphql-types';
import { VERSION } from '../lib/versions';

export enum RotationStatus {
  OK = 'OK',
  DUE = 'DUE',
  OVERDUE = 'OVERDUE',
}
registerEnumType(RotationStatus, {
  name: 'RotationStatus',
  description: "Whether a service account wants a new secret. A rotation that is due stops nothing.",
  valuesConfig: {
    OK: { description: 'Its rotationDueAt lies in the future.' },
    DUE: { description: 'Its rotationDueAt has passed.' },
    OVERDUE: { description: 'Its rotationDueAt has passed by a week and more.' },
  },
});

@ObjectType({
  implements: Node,
  description: 'An identity of a workspace for work that nobody attends to. It calls in the projects that it was granted, and administers what its permissions and its role allow. Its secret is shown once, when made or rotated.',
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

  @Field({ description: 'What people call it: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @Field({ description: 'Enough to recognise the secret and too little to use it, such as `acme_svc_...x7Qp`.' })
  @Column(textColumn(32))
  hint: string;

  @Field(() => [String], { description: 'Granted permissions: names from `Query.permissions`, or a prefix with a wildcard such as `face.*`.' })
  @Column('simple-json')
  permissions: string[];

  /** The role whose permissions it has besides; null where it has none. */
  @Column({ ...idColumn, nullable: true })
  roleId: string | null;

  @Field({ description: 'Whether it works; false stops it at once, everywhere, until it is switched on again.' })
  @Column('boolean')
  enabled: boolean;

  @Field(() => Int, { description: 'How old a secret is to become before it is rotated: 1 to 365 days.' })
  @Column('int')
  rotationDays: number;

  @Field({ description: 'When its secret will have become that old. It works on after that.' })
  @Column(instantColumn)
  rotationDueAt: Date;

  /** When that was made an event of; null while it was not. */
  @Column({ ...instantColumn, nullable: true })
  rotationDueToldAt: Date | null;

  @Field(() => Date, { nullable: true, description: 'When its current secret replaced another; null where it never did.' })
  @Column({ ...instantColumn, nullable: true })
  rotatedAt: Date | null;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'When it was made.' })
  @Column(instantColumn)
  createdAt: Date;
}

/** One secret of a service account, or an access token of it, as its digest. Secrets are kept when they have ended, so that their bearer is told so. */
@Entity('service_account_secrets')
@Index('service_account_secrets_by_account', ['accountId'])
export class ServiceAccountSecret {
  /** HMAC-SHA256 of the secret with the pepper, base64url. */
  @PrimaryColumn(textColumn(43))
  digest: string;

  @Column('int')
  pepperVersion: number;

  @Column(idColumn)
  accountId: string;

  /** Of an access token, what it is for at most; null for a secret. */
  @Column({ type: 'simple-json', nullable: true })
  scopes: string[] | null;

  /** Until when it still works, where it was replaced, or is an access token; null for the current secret. It only ever becomes earlier. */
  @Column({ ...bigintColumn, nullable: true })
  graceUntil: number | null;

  /** Ended for good, whatever the clock says; null while it lives. */
  @Column({ ...bigintColumn, nullable: true })
  endedAt: number | null;

  @Column(instantColumn)
  createdAt: Date;
}

/** A project that a service account may call in. */
@Entity('service_account_projects')
export class ServiceAccountProject {
  @PrimaryColumn(idColumn)
  accountId: string;

  @PrimaryColumn(idColumn)
  projectId: string;
}
