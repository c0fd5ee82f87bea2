import { covers } from '../access/permissions';
import type { ErrorCode } from '../errors';
import { isInBlocks } from '../lib/cidr';
import type { Call, Facts, Credential } from './call';

/** In which a call names its project, where its credential may work in several. */
export const PROJECT_HEADER = 'X-Project-Id';

/** Why a call is not admitted, as its caller reads it. */
export interface Refusal {
  code: ErrorCode;
  details: Record<string, unknown>;
}

type Check = (credential: Credential, call: Pick<Call, 'ip' | 'action' | 'statedProjectId'>, facts: Facts, nowMs: number) => Refusal | undefined;

const refuse = (code: ErrorCode, details: Record<string, unknown> = {}): Refusal => ({ code, details });
const timestamp = (ms: number): string => new Date(ms).toISOString();

const revoked: Check = (credential, _call, _facts, nowMs) => {
  const graceOver = credential.secretGraceUntil !== null && credential.secretGraceUntil <= nowMs ? credential.secretGraceUntil : null;
  const at = credential.revokedAt ?? credential.secretEndedAt ?? graceOver;
  return at === null ? undefined : refuse('REVOKED_API_KEY', { key_id: credential.id, revoked_at: timestamp(at) });
};

const expired: Check = (credential, _call, _facts, nowMs) =>
  credential.expiresAt !== null && credential.expiresAt <= nowMs
    ? refuse('EXPIRED_API_KEY', { key_id: credential.id, expired_at: timestamp(credential.expiresAt) })
    : undefined;

const disabled: Check = (credential) => (credential.enabled && credential.archivedAt === null ? undefined : refuse('DISABLED_API_KEY', { key_id: credential.id }));

const address: Check = (credential, { ip }) => (credential.allowedIps.length === 0 || (ip !== null && isInBlocks(ip, credential.allowedIps)) ? undefined : refuse('IP_NOT_ALLOWED'));

/** A credential of one project is used for no other. One of several names the project; one where it may not work reads like one that never was. */
const project: Check = (credential, { statedProjectId }) => {
  if (credential.projectId !== null) {
    if (statedProjectId === null || statedProjectId === credential.projectId) return undefined;
    return refuse('INVALID_REQUEST', { issues: [{ path: [PROJECT_HEADER], message: 'names another project than that of the credential; leave it out' }] });
  }
  if (credential.namedProjectId !== null) return refuse('NOT_FOUND', { header: PROJECT_HEADER });
  return refuse('INVALID_REQUEST', { issues: [{ path: [PROJECT_HEADER], message: 'must name one of the projects that this credential may work in' }] });
};

const action: Check = (_key, call, facts) => (facts.action ? undefined : refuse('UNKNOWN_ACTION', { action: call.action }));

const permission: Check = (credential, _call, facts) =>
  !facts.action || covers(credential.permissions, facts.action.permission)
    ? undefined
    : refuse('FORBIDDEN', { required_permission: facts.action.permission });

/** What makes a credential good, whatever it is used for. */
const CREDENTIAL_CHECKS: Check[] = [revoked, expired, disabled, address];

/** All that is checked before rate, repeats and budget, which need the budget's lock. Order is part of the contract. */
const CALL_CHECKS: Check[] = [...CREDENTIAL_CHECKS, project, action, permission];

/** The first check that a call fails, or undefined. */
export function firstRefusal(call: Pick<Call, 'ip' | 'action' | 'statedProjectId'>, facts: Facts, nowMs: number): Refusal | undefined {
  return firstOf(CALL_CHECKS, call, facts, nowMs);
}

/** The first check that a credential fails by itself, or undefined. */
export function credentialRefusal(ip: string | null, credential: Credential | undefined, nowMs: number): Refusal | undefined {
  return firstOf(CREDENTIAL_CHECKS, { ip, action: '', statedProjectId: null }, { credential, action: undefined }, nowMs);
}

function firstOf(checks: Check[], call: Pick<Call, 'ip' | 'action' | 'statedProjectId'>, facts: Facts, nowMs: number): Refusal | undefined {
  if (!facts.credential) return refuse('INVALID_API_KEY');
  for (const check of checks) {
    const refusal = check(facts.credential, call, facts, nowMs);
    if (refusal) return refusal;
  }
  return undefined;
}
