import type { CredentialKind } from '../../access/secret';
import { TollgateError } from '../../errors';
import type { CredentialRef } from '../call';
import { credentialRefusal, type Refusal } from '../checks';
import type { LookUps } from '../look-ups';
import type { Sharer } from './shares';

export interface BodyOwnersDeps {
  /** Returns the project of a secret. Undefined if this process does not remember the secret, or if it did not work at its last use. */
  known(ref: CredentialRef): Sharer | undefined;
  lookUps: Pick<LookUps, 'find'>;
  digest(secret: string): string;
  /** The time of the database's clock. */
  now(): Promise<Date>;
}

/** The credential and address of a request that announces a large body. */
export interface BodySender {
  secret: string;
  credentialKind: CredentialKind;
  namedProjectId: string | null;
  ip: string | null;
}

/**
 * Finds the project that a large body counts against, before the body is read. The form of a secret is not enough: anyone can invent a
 * well-formed secret.
 */
export class BodyOwners {
  constructor(private readonly deps: BodyOwnersDeps) {}

  /**
   * The project of a secret, or its workspace if it has no project here. Returns a refusal if the secret does not work.
   * Rejects with SERVICE_UNAVAILABLE if the database does not answer.
   */
  async of({ secret, credentialKind, namedProjectId, ip }: BodySender): Promise<Sharer | Refusal> {
    const ref = { credentialKind, digest: this.deps.digest(secret), namedProjectId };
    const known = this.deps.known(ref);
    if (known) return known;
    const credential = await this.deps.lookUps.find(ref);
    if (!credential) return { code: 'INVALID_API_KEY', details: {} };
    const { projectId, workspaceId } = credential;
    // A credential of several projects works even if one of them is archived
    const refusal = credentialRefusal(ip, projectId === null ? { ...credential, archivedAt: null } : credential, await this.nowMs());
    return refusal ?? (projectId === null ? { id: workspaceId } : { id: projectId, group: workspaceId });
  }

  private async nowMs(): Promise<number> {
    try {
      return (await this.deps.now()).getTime();
    } catch (error) {
      throw new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error });
    }
  }
}
