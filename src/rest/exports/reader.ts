import type { FastifyRequest } from 'fastify';
import { secretFrom } from '../../access/credential';
import type { AdministrativePermission } from '../../access/permissions';
import { requireAdministered, requirePermission } from '../../access/policies';
import type { CredentialPrincipal } from '../../access/principal';
import { TollgateError } from '../../errors';
import type { Principals } from '../../gate/principals';

/** Whoever reads an export. */
export type Reader = CredentialPrincipal;

/** Whoever asks, by the secret that they bring: a cookie counts at `/graphql` alone. UNAUTHORIZED where nobody does, or with a credential that does not work now. */
export async function readerOf(request: FastifyRequest, principals: Pick<Principals, 'bySecret'>): Promise<Reader> {
  const secret = secretFrom(request.raw.rawHeaders);
  if (secret === undefined) throw new TollgateError('MISSING_API_KEY', undefined, { header: 'Authorization' });
  return principals.bySecret(secret, request.address);
}

/**
 * The workspace that an export is of: the one that is asked for, or a key's or service account's own; undefined where the operator asks for none. NOT_FOUND where
 * the reader may not know of it, FORBIDDEN where it lacks the permission there.
 */
export async function workspaceFor(
  reader: Reader,
  asked: string | undefined,
  permission: AdministrativePermission,
  hasWorkspace: (id: string) => Promise<boolean>,
): Promise<string | undefined> {
  if (asked !== undefined) {
    requireAdministered(reader, (await hasWorkspace(asked)) ? { workspaceId: asked } : null, permission);
    return asked;
  }
  if (reader.kind === 'OPERATOR') return undefined;
  requirePermission(reader, permission, reader.workspaceId);
  return reader.workspaceId;
}

/** Whether whoever sent a request still may, by what they may do now. Rejects where nobody can say. */
export async function stillMay(request: FastifyRequest, principals: Pick<Principals, 'bySecret'>, may: (reader: Reader) => boolean): Promise<boolean> {
  try {
    return may(await readerOf(request, principals));
  } catch (error) {
    if (error instanceof TollgateError && error.kind !== 'SERVICE_UNAVAILABLE') return false;
    throw error;
  }
}
