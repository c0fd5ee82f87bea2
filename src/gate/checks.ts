import { covers } from '../access/permissions';
import type { ErrorCode } from '../errors';
import { isInBlocks } from '../lib/cidr';
import type { Call, Facts, KeyFacts } from './call';

/** In which a call names its project, where its credential may work in several. */
export const PROJECT_HEADER = 'X-Project-Id';

/** Why a call is not admitted, as its caller reads it. */
export interface Refusal {
  code: ErrorCode;
  details: Record<string, unknown>;
}

type Check = (key: KeyFacts, call: Pick<Call, 'ip' | 'action'>, facts: Facts, nowMs: number) => Refusal | undefined;

const refuse = (code: ErrorCode, details: Record<string, unknown> = {}): Refusal => ({ code, details });
const timestamp = (ms: number): string => new Date(ms).toISOString();

const revoked: Check = (key, _call, _facts, nowMs) => {
  const graceOver = key.secretGraceUntil !== null && key.secretGraceUntil <= nowMs ? key.secretGraceUntil : null;
  const at = key.revokedAt ?? key.secretEndedAt ?? graceOver;
  return at === null ? undefined : refuse('REVOKED_API_KEY', { key_id: key.keyId, revoked_at: timestamp(at) });
};

const expired: Check = (key, _call, _facts, nowMs) =>
  key.expiresAt !== null && key.expiresAt <= nowMs
    ? refuse('EXPIRED_API_KEY', { key_id: key.keyId, expired_at: timestamp(key.expiresAt) })
    : undefined;

const disabled: Check = (key) => (key.enabled && key.archivedAt === null ? undefined : refuse('DISABLED_API_KEY', { key_id: key.keyId }));

const address: Check = (key, { ip }) => (key.allowedIps.length === 0 || (ip !== null && isInBlocks(ip, key.allowedIps)) ? undefined : refuse('IP_NOT_ALLOWED'));

/** What may work in several projects names the one; one that it may not work in reads like one that never was. */
const project: Check = (key) => {
  if (key.projectId !== null) return undefined;
  if (key.namedProjectId !== null) return refuse('NOT_FOUND', { header: PROJECT_HEADER });
  return refuse('INVALID_REQUEST', { issues: [{ path: [PROJECT_HEADER], message: 'must name one of the projects that this credential may work in' }] });
};

const action: Check = (_key, call, facts) => (facts.action ? undefined : refuse('UNKNOWN_ACTION', { action: call.action }));

const permission: Check = (key, _call, facts) =>
  !facts.action || covers(key.permissions, facts.action.permission)
    ? undefined
    : refuse('FORBIDDEN', { required_permission: facts.action.permission });

/** What makes a credential good, whatever it is used for. */
const CREDENTIAL_CHECKS: Check[] = [revoked, expired, disabled, address];

/** All that is checked before rate, repeats and budget, which need the budget's lock. Order is part of the contract. */
const CALL_CHECKS: Check[] = [...CREDENTIAL_CHECKS, project, action, permission];

/** The first check that a call fails, or undefined. */
export function firstRefusal(call: Pick<Call, 'ip' | 'action'>, facts: Facts, nowMs: number): Refusal | undefined {
  return firstOf(CALL_CHECKS, call, facts, nowMs);
}

/** The first check that a credential fails by itself, or undefined. */
export function credentialRefusal(ip: string | null, key: KeyFacts | undefined, nowMs: number): Refusal | undefined {
  return firstOf(CREDENTIAL_CHECKS, { ip, action: '' }, { key, action: undefined }, nowMs);
}

function firstOf(checks: Check[], call: Pick<Call, 'ip' | 'action'>, facts: Facts, nowMs: number): Refusal | undefined {
  if (!facts.key) return refuse('INVALID_API_KEY');
  for (const check of checks) {
    const refusal = check(facts.key, call, facts, nowMs);
    if (refusal) return refusal;
  }
  return undefined;
}
