import { requirePermission } from '../access/policies';
import type { Authentication } from '../access/principal';
import { kindOfSecret } from '../access/secret';
import type { Asker } from './call';
import { VERIFY_PERMISSION } from './checks';

/** The most askers that a process remembers. At this number it forgets all of them, which bounds its memory. */
const MAX_KNOWN_ASKERS = 10_000;

export interface AskersDeps {
  authentication: Pick<Authentication, 'bySecret'>;
  digest(text: string): string;
}

/** Recognises the credentials that verify others. */
export class Askers {
  /** By digest. The owner of a secret never changes, and each tick reads again whether the secret works and has the permission. */
  private readonly known = new Map<string, Omit<Asker, 'ip'>>();

  constructor(private readonly deps: AskersDeps) {}

  /**
   * Returns the owner of a secret, or null for the operator. Throws the error of the credential if it does not work from this address or
   * has no permission to verify. A secret that this process knows is not read here, but in the tick that judges its question.
   */
  async of(secret: string, ip: string | null): Promise<Asker | null> {
    const digest = this.deps.digest(secret);
    const known = this.known.get(digest);
    if (known) return { ...known, ip };
    const principal = await this.deps.authentication.bySecret(secret, ip);
    if (principal.kind === 'OPERATOR') return null;
    const { id, kind, workspaceId } = principal;
    requirePermission(principal, VERIFY_PERMISSION, workspaceId);
    const asker = { id, workspaceId, ref: { credentialKind: kindOfSecret(secret) ?? kind, digest, namedProjectId: null } };
    if (this.known.size >= MAX_KNOWN_ASKERS) this.known.clear();
    this.known.set(digest, asker);
    return { ...asker, ip };
  }
}
