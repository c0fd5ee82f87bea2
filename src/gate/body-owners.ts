import type { CredentialKind } from '../access/secret';
import { TollgateError } from '../errors';
import type { CredentialRef } from './call';
import { credentialRefusal, type Refusal } from './checks';
import type { LookUps } from './look-ups';
import type { Sharer } from './shares';

export interface BodyOwnersDeps {
  /** The project of a secret that this process has recognised before, and that worked when it was last seen. */
  known(ref: CredentialRef): Sharer | undefined;
  lookUps: Pick<LookUps, 'find'>;
  digest(secret: string): string;
  /** By the database's clock. */
  now(): Promise<Date>;
}

/** Who announces a large body. */
export interface BodySender {
  secret: string;
  credentialKind: CredentialKind;
  namedProjectId: string | null;
  ip: string | null;
}

/** Finds who a large body is charged to before it is read: a well-formed secret costs nothing to make up. */
export class BodyOwners {
  constructor(private readonly deps: BodyOwnersDeps) {}

  /** The project of a secret, or its workspace where it has no project here; or why the secret does not work. Rejects with SERVICE_UNAVAILABLE. */
  async of({ secret, credentialKind, namedProjectId, ip }: BodySender): Promise<Sharer | Refusal> {
    const ref = { credentialKind, digest: this.deps.digest(secret), namedProjectId };
    const known = this.deps.known(ref);
    if (known) return known;
    const credential = await this.deps.lookUps.find(ref);
    if (!credential) return { code: 'INVALID_API_KEY', details: {} };
    const { projectId, workspaceId } = credential;
    // What may work in several projects is not bound to the end of one
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
