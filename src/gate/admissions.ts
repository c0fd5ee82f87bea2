import { ERRORS, TollgateError } from '../errors';
import { credentialKey, type Call, type Credential, type CredentialRef } from './call';
import type { Verdict, Verified } from './items';
import type { LookUps } from './look-ups';
import type { Sharer } from './load/shares';
import type { Ticker } from './tick/ticker';

/** The most secrets that a process remembers. At this number it forgets all of them, which bounds its memory. */
const MAX_KNOWN_SECRETS = 50_000;

export interface AdmissionsDeps {
  lookUps: Pick<LookUps, 'find'>;
  ticker: Pick<Ticker, 'judge'>;
  /** Takes a place among a project's calls in flight. Returns false if the project or its workspace has no place left. */
  reserve(call: Call, project: Sharer): boolean;
}

/** The owner of a secret. `projectId` is the project to lock. Null if the secret did not work or had no project at its last use. */
export type Owner = Pick<Credential, 'id' | 'projectId' | 'workspaceId'>;

/** The answer of a verification: makes it, and its estimated size. */
export interface Answer {
  make(verified: Verified): string;
  bytes: number;
}

/** Submits calls to the ticker with the project to lock. */
export class Admissions {
  /**
   * Owners by `credentialKey`. The owner of a secret never changes. The project is only a hint for the lock: each tick reads again
   * whether the credential works, in which project, and with which permissions.
   */
  private readonly owners = new Map<string, Owner>();

  constructor(private readonly deps: AdmissionsDeps) {}

  /**
   * Judges a call. Rejects with SERVICE_UNAVAILABLE if the database does not answer or no place is free; then the call must not run.
   * Rejects with UnknownCommit too, if an answer is given.
   */
  async admit(call: Call, answer?: Answer): Promise<Verdict> {
    const owner = await this.ownerOf(call);
    if (!owner) return { kind: 'refused', refusal: { code: 'INVALID_API_KEY', details: {} }, credential: undefined, rate: undefined };
    return this.submit(call, owner, answer);
  }

  /** The owner of a call's secret, or undefined if the secret is unknown. Rejects with SERVICE_UNAVAILABLE. */
  async ownerOf(call: Call): Promise<Owner | undefined> {
    return this.owners.get(credentialKey(call)) ?? (await this.lookUp(call));
  }

  /** Judges a call of a known owner. Rejects as `admit`, and with UnknownCommit. */
  async submit(call: Call, owner: Owner, answer?: Answer): Promise<Verdict> {
    const { id: credentialId, workspaceId } = owner;
    let { projectId } = owner;
    for (;;) {
      if (projectId !== null && !this.deps.reserve(call, { id: projectId, group: workspaceId })) {
        throw new TollgateError('SERVICE_UNAVAILABLE');
      }
      const admission = { kind: 'admission', call, credentialId, projectId, answer: answer?.make } as const;
      const verdict = await this.deps.ticker.judge(admission, answer?.bytes);
      const seen = projectSeen(verdict);
      if (seen !== undefined && seen !== projectId) this.owners.set(credentialKey(call), { ...owner, projectId: seen });
      if (verdict.kind !== 'locked') return verdict;
      projectId = verdict.projectId; // the call needs a place and a lock of another project than the remembered one
    }
  }

  /** The project of a remembered secret. Undefined if this process has not seen the secret, or if it did not work at its last use. */
  known(ref: CredentialRef): Sharer | undefined {
    const owner = this.owners.get(credentialKey(ref));
    return owner && owner.projectId !== null ? { id: owner.projectId, group: owner.workspaceId } : undefined;
  }

  /** Reads the owner from the database after the call has arrived. Returns undefined if the secret is unknown. */
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
 * The project that the next call with this credential must lock, or undefined if the verdict does not tell it. Null if the credential no
 * longer works: otherwise a flood of calls with a revoked, expired or disabled key would lock its project.
 */
function projectSeen(verdict: Verdict): string | null | undefined {
  if (verdict.kind === 'admitted') return verdict.hold.projectId;
  if (verdict.kind === 'verified') return verdict.credential.projectId;
  if (verdict.kind === 'locked') return verdict.projectId;
  if (verdict.kind !== 'refused') return undefined;
  return ERRORS[verdict.refusal.code].kind === 'UNAUTHORIZED' ? null : verdict.credential?.projectId;
}
