import { ERRORS, TollgateError } from '../errors';
import { credentialKey, type Call, type Credential, type CredentialRef } from './call';
import type { Verdict } from './decide';
import type { LookUps } from './look-ups';
import type { Sharer } from './shares';
import type { Ticker } from './ticker';

/** Secrets whose owners a process remembers; forgotten all at once where there are more, so that memory stays bounded. */
const MAX_KNOWN_SECRETS = 50_000;

export interface AdmissionsDeps {
  lookUps: Pick<LookUps, 'find'>;
  ticker: Pick<Ticker, 'judge'>;
  /** Takes a place among a project's calls in flight; false where it, or its workspace, has as many as it may. */
  reserve(call: Call, project: Sharer): boolean;
}

/** Whose a secret is, and the project whose lock its calls need; null where it was dead, or had no project, when it was last seen. */
type Owner = Pick<Credential, 'id' | 'projectId' | 'workspaceId'>;

/** Brings calls before the tick that has the lock of their project. */
export class Admissions {
  /**
   * Whose a secret is, by `credentialKey`: that never changes, and tells what to lock and to read. What it may do, whether it still may do
   * anything, and in which project, is read in each tick: this tells only which lock and place its calls seem to need, if any.
   */
  private readonly owners = new Map<string, Owner>();

  constructor(private readonly deps: AdmissionsDeps) {}

  /** Judges a call. Rejects with SERVICE_UNAVAILABLE where the database cannot say; then nothing was admitted. */
  async admit(call: Call): Promise<Verdict> {
    const owner = this.owners.get(credentialKey(call)) ?? (await this.lookUp(call));
    if (!owner) return { kind: 'refused', refusal: { code: 'INVALID_API_KEY', details: {} }, credential: undefined, rate: undefined };
    const { id: credentialId, workspaceId } = owner;
    let { projectId } = owner;
    for (;;) {
      if (projectId !== null && !this.deps.reserve(call, { id: projectId, group: workspaceId })) throw new TollgateError('SERVICE_UNAVAILABLE');
      const verdict = await this.deps.ticker.judge({ kind: 'admission', call, credentialId, projectId });
      const seen = projectSeen(verdict);
      if (seen !== undefined && seen !== projectId) this.owners.set(credentialKey(call), { ...owner, projectId: seen });
      if (verdict.kind !== 'locked') return verdict;
      projectId = verdict.projectId; // its place, and the lock that it needs, are of another project than it seemed
    }
  }

  /** The project of a secret that was seen before; undefined where it was not, or did not work when it was last seen. */
  known(ref: CredentialRef): Sharer | undefined {
    const owner = this.owners.get(credentialKey(ref));
    return owner && owner.projectId !== null ? { id: owner.projectId, group: owner.workspaceId } : undefined;
  }

  /** Asked after the call arrived: a secret that is unknown then is refused, and one that is known is judged in a tick. */
  private async lookUp(call: Call): Promise<Owner | undefined> {
    const credential = await this.deps.lookUps.find(call, call.waitsSince);
    if (!credential) return undefined;
    const { id, projectId, workspaceId } = credential;
    if (this.owners.size >= MAX_KNOWN_SECRETS) this.owners.clear();
    if (projectId !== null) this.owners.set(credentialKey(call), { id, projectId, workspaceId });
    return credential;
  }
}

/**
 * The project whose lock the next call like the one that was judged needs, or null where none: a flood of calls with a key that is revoked,
 * expired or disabled is to cost the good keys of its project nothing. Undefined where that was not seen.
 */
function projectSeen(verdict: Verdict): string | null | undefined {
  if (verdict.kind === 'admitted') return verdict.hold.projectId;
  if (verdict.kind === 'locked') return verdict.projectId;
  if (verdict.kind !== 'refused') return undefined;
  return ERRORS[verdict.refusal.code].kind === 'UNAUTHORIZED' ? null : verdict.credential?.projectId;
}
