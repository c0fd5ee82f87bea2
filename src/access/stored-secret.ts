import { Column, IsNull, PrimaryColumn, type EntityManager, type EntityTarget, type FindOptionsWhere, type ObjectLiteral } from 'typeorm';
import type { QueryDeepPartialEntity } from 'typeorm/query-builder/QueryPartialEntity';
import { bigintColumn, instantColumn, textColumn } from '../db/columns';
import { notFound } from '../errors';
import { Workspace } from '../tenancy/workspace.entity';
import { PEPPER_VERSION, mintSecret, type SecretForm } from './secret';

/**
 * A row for one secret of an owner, such as a key. The secret itself is not stored. The row stays after the secret has ended, so that the
 * gate can say why it refuses the secret.
 */
export abstract class StoredSecret {
  /** HMAC-SHA256 of the secret with the pepper, base64url. */
  @PrimaryColumn(textColumn(43))
  digest: string;

  @Column('int')
  pepperVersion: number;

  /** Time until which a secret with an end works, in milliseconds since 1970; null for the current secret. */
  @Column({ ...bigintColumn, nullable: true })
  graceUntil: number | null;

  /** Time when it was ended for ever, in milliseconds since 1970, or null. Once set, the secret is refused whatever the clock says. */
  @Column({ ...bigintColumn, nullable: true })
  endedAt: number | null;

  @Column(instantColumn)
  createdAt: Date;
}

/** A new secret with the prefix of a workspace. Throws NOT_FOUND if the workspace does not exist. */
export async function mintSecretOf(tx: EntityManager, workspaceId: string, form: SecretForm): Promise<string> {
  const { keyPrefix } = (await tx.findOneBy(Workspace, { id: workspaceId })) ?? notFound();
  return mintSecret(keyPrefix, form);
}

/** Stores the row of a new secret: its digest, its owner, and its end if it has one. */
export async function storeSecret<T extends ObjectLiteral & StoredSecret>(
  tx: EntityManager,
  table: EntityTarget<T>,
  row: Pick<T, 'digest'> & Partial<T>,
  at: Date,
): Promise<void> {
  const values = { pepperVersion: PEPPER_VERSION, graceUntil: null, endedAt: null, createdAt: at, ...row };
  await tx.insert(table, values as QueryDeepPartialEntity<T>);
}

/** Ends secrets now, for ever. `which` are the secrets of an owner, or some of them. */
export async function endSecrets<T extends ObjectLiteral & StoredSecret>(
  tx: EntityManager,
  table: EntityTarget<T>,
  which: FindOptionsWhere<T>,
  at: Date,
): Promise<void> {
  await tx.update(table, { ...which, endedAt: IsNull() }, { endedAt: at.getTime() } as object as QueryDeepPartialEntity<T>);
}

/** Lets the current secret of an owner work until `graceUntil`. If that is now, all secrets of the owner end. */
export async function startGrace<T extends ObjectLiteral & StoredSecret>(
  tx: EntityManager,
  table: EntityTarget<T>,
  owner: FindOptionsWhere<T>,
  { at, graceUntil }: { at: Date; graceUntil: number },
): Promise<void> {
  if (graceUntil <= at.getTime()) return endSecrets(tx, table, owner, at);
  await tx.update(table, { ...owner, endedAt: IsNull(), graceUntil: IsNull() }, { graceUntil } as object as QueryDeepPartialEntity<T>);
}
