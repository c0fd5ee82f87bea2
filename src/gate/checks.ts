import { allows, covers, type AdministrativePermission } from '../access/permissions';
import { NAMES_ITS_PROJECT } from '../access/secret';
import type { ErrorCode } from '../errors';
import { isInBlocks } from '../lib/cidr';
import type { Asker, Call, Facts, Credential } from './call';

/** The header that names the project of a call. Required if the credential can work in several projects. */
export const PROJECT_HEADER = 'X-Project-Id';

/** The reason why a call is not admitted, as the caller sees it. */
export interface Refusal {
  code: ErrorCode;
  details: Record<string, unknown>;
}

/** The permission that a credential needs to verify other credentials. */
export const VERIFY_PERMISSION: AdministrativePermission = 'verify.keys';

type CheckedCall = Pick<Call, 'ip' | 'action' | 'statedProjectId' | 'verification' | 'route'>;
/** The address of a caller, and the project that it names. */
export type Caller = Pick<Call, 'ip' | 'statedProjectId'>;
/** Returns a refusal, or undefined if the check passes. */
type Check = (credential: Credential, call: CheckedCall, facts: Facts, nowMs: number) => Refusal | undefined;

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

const disabled: Check = (credential) =>
  credential.enabled && credential.archivedAt === null ? undefined : refuse('DISABLED_API_KEY', { key_id: credential.id });

const address: Check = ({ allowedIps }, { ip }) =>
  allowedIps.length === 0 || (ip !== null && isInBlocks(ip, allowedIps)) ? undefined : refuse('IP_NOT_ALLOWED');

/**
 * A credential of one project works in that project only. A credential of several projects must name one.
 * A project in which it may not work is answered like a missing project.
 */
const project: Check = (credential, { statedProjectId, verification, route }) => {
  if (statedProjectId === null && verification?.mode === 'credential') return undefined;
  const isInBody = verification !== undefined && route === undefined; // the project's name: in the body or in a header
  const name = isInBody ? 'projectId' : PROJECT_HEADER;
  if (credential.projectId !== null) {
    if (statedProjectId === null || statedProjectId === credential.projectId) return undefined;
    const message = 'is not the project of the credential; leave it out';
    return refuse('INVALID_REQUEST', { issues: [{ path: [name], message }] });
  }
  if (credential.namedProjectId !== null) return refuse('NOT_FOUND', isInBody ? { field: name } : { header: name });
  const message = 'must name one of the projects that this credential may work in';
  return refuse('INVALID_REQUEST', { issues: [{ path: [name], message }] });
};

const action: Check = (_key, call, facts) =>
  facts.action || call.verification?.mode === 'credential' ? undefined : refuse('UNKNOWN_ACTION', { action: call.action });

const permission: Check = (credential, _call, facts) =>
  !facts.action || covers(credential.permissions, facts.action.permission)
    ? undefined
    : refuse('FORBIDDEN', { required_permission: facts.action.permission });

/** The permissions that a verification asks about, in addition to the permission of the action. */
const furtherPermissions: Check = (credential, { verification }) => {
  const missing = verification?.permissions.find((name) => !allows(credential.permissions, name));
  return missing === undefined ? undefined : refuse('FORBIDDEN', { required_permission: missing });
};

/** The checks of the credential alone. They apply to every use of it. */
const CREDENTIAL_CHECKS: Check[] = [revoked, expired, disabled, address];

/** The checks of a credential that calls, before anything is known about the call. */
const CALLER_CHECKS: Check[] = [...CREDENTIAL_CHECKS, project];

/** All checks before rate, repeats and budget, which need the budget's lock. Their order is part of the contract. */
const CALL_CHECKS: Check[] = [...CALLER_CHECKS, action, permission, furtherPermissions];

/** The refusal of the first check that a call fails, or undefined. */
export function firstRefusal(call: CheckedCall, facts: Facts, nowMs: number): Refusal | undefined {
  return firstOf(CALL_CHECKS, call, facts, nowMs);
}

/** The refusal of the first check that a credential fails from this address, or undefined. */
export function credentialRefusal(ip: string | null, credential: Credential | undefined, nowMs: number): Refusal | undefined {
  return firstOf(CREDENTIAL_CHECKS, { ip, action: '', statedProjectId: null }, { credential, action: undefined }, nowMs);
}

/** The same for a credential that administers. If it may work in several projects, it may do so even if one of them is archived. */
export function administratorRefusal(ip: string | null, credential: Credential | undefined, nowMs: number): Refusal | undefined {
  const isOfSeveral = credential && NAMES_ITS_PROJECT.has(credential.credentialKind);
  return credentialRefusal(ip, isOfSeveral ? { ...credential, archivedAt: null } : credential, nowMs);
}

/** The refusal of a credential that may not verify others from this address, or undefined. */
export function askerRefusal({ ip }: Asker, credential: Credential | undefined, nowMs: number): Refusal | undefined {
  const refusal = administratorRefusal(ip, credential, nowMs);
  if (refusal || (credential && allows(credential.permissions, VERIFY_PERMISSION))) return refusal;
  return refuse('FORBIDDEN', { required_permission: VERIFY_PERMISSION });
}

/** The refusal of a credential that may not call from this address in the project that it names, or undefined. */
export function callerRefusal(caller: Caller, credential: Credential | undefined, nowMs: number): Refusal | undefined {
  return firstOf(CALLER_CHECKS, { ...caller, action: '' }, { credential, action: undefined }, nowMs);
}

function firstOf(checks: Check[], call: CheckedCall, facts: Facts, nowMs: number): Refusal | undefined {
  if (!facts.credential) return refuse('INVALID_API_KEY');
  for (const check of checks) {
    const refusal = check(facts.credential, call, facts, nowMs);
    if (refusal) return refusal;
  }
  return undefined;
}
