import type { FastifyRequest } from 'fastify';
import { secretFrom } from '../../access/credential';
import type { AdministrativePermission } from '../../access/permissions';
import { requireAdministered, requirePermission } from '../../access/policies';
import type { CredentialPrincipal } from '../../access/principal';
import { TollgateError } from '../../errors';
import type { Authenticator } from '../../gate/authenticator';

/** The caller that reads an export. */
export type Reader = CredentialPrincipal;

/**
 * Authenticates the caller of an export by its secret. Ignores cookies: they count only at `/graphql`. Throws an error of kind UNAUTHORIZED
 * if there is no secret, or its credential does not work now.
 */
export async function readerOf(request: FastifyRequest, authenticator: Pick<Authenticator, 'bySecret'>): Promise<Reader> {
  const secret = secretFrom(request.raw.rawHeaders);
  if (secret === undefined) throw new TollgateError('MISSING_API_KEY', undefined, { header: 'Authorization' });
  return authenticator.bySecret(secret, request.address);
}

/**
 * Returns the workspace to export: the requested workspace, otherwise the workspace of the credential.
 * Returns undefined if the operator requests no workspace.
 * Throws NOT_FOUND if the workspace does not exist or the reader may not see it, and FORBIDDEN if the reader lacks the permission there.
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

/** Authenticates the sender of a request again and asks `may` for its current rights. Rejects if the database cannot tell. */
export async function stillMay(
  request: FastifyRequest,
  authenticator: Pick<Authenticator, 'bySecret'>,
  may: (reader: Reader) => boolean,
): Promise<boolean> {
  try {
    return may(await readerOf(request, authenticator));
  } catch (error) {
    if (error instanceof TollgateError && error.kind !== 'SERVICE_UNAVAILABLE') return false;
    throw error;
  }
}
