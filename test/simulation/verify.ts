import type { Usage } from '../../src/actions/unit-prices';
import { TollgateError, type ErrorCode } from '../../src/errors';
import type { ExecuteRequest, Gate } from '../../src/gate/gate';
import type { Billing } from '../../src/gate/items';
import type { Auditor } from './auditor';
import type { SimulatedCall, SimulatedResult } from './simulated-call';

/** How long the hold of a verification lasts, and how an extension may keep it open. */
export const VERIFY_PACE = { lastsMs: 60_000, atMostMs: 3_600_000 };

/** What an asker wants to do with a hold. */
export type HoldRequest = { what: 'settle'; usage: Usage | null } | { what: 'void' } | { what: 'extend' };

/** What a request about a hold was told: the text of its success, or the code of an error. */
export type HoldAnswer = { text: string } | { code: ErrorCode };

/** Asks for a hold for a call that somebody else runs. The answer names the call that has the hold. */
export async function verify(gate: Gate, request: ExecuteRequest): Promise<SimulatedResult> {
  const { secret, credentialKind, namedProjectId, statedProjectId, service, action, requestId, fingerprint, ip, userAgent } = request;
  const result = await gate.verifications.verify({
    asker: null,
    credential: { secret, kind: credentialKind },
    ...{ namedProjectId, statedProjectId, service, action, requestId, ip, userAgent },
    mode: 'hold',
    usage: null,
    permissions: [],
    holdMs: VERIFY_PACE.lastsMs,
    fingerprintOf: fingerprint === null ? null : () => fingerprint,
    subject: undefined,
    metadata: undefined,
    arrivedAt: request.arrivedAt,
    present: ({ hold }) => `${String(userAgent)} ${String(hold?.attempt)}`,
  });
  switch (result.kind) {
    case 'answered':
      return { kind: 'held', body: result.body };
    case 'invalid':
    case 'error':
      return { kind: 'error', code: result.code, details: result.details };
    case 'askerRefused':
      throw new Error('The operator was refused.');
  }
}

/** Sends a request about the hold of `call`, and lets the auditor check its answer. */
export async function useHold(gate: Gate, auditor: Auditor, call: SimulatedCall, request: HoldRequest): Promise<void> {
  const id = call.attempt?.hold.attempt ?? '';
  const hold = { id, workspaceId: null };
  auditor.asksForEnd(call, request);
  let answer: HoldAnswer;
  try {
    if (request.what === 'extend') {
      await gate.verifiedHolds.extend(hold, VERIFY_PACE.lastsMs / 1_000);
      answer = { text: 'extended' };
    } else {
      const { what } = request;
      const end = what === 'settle' ? { kind: what, usage: request.usage, costMicroCredits: undefined } : { kind: what, errorCode: 'GONE' };
      const fingerprint = JSON.stringify(request);
      const present = ({ chargedMicroCredits }: Billing): string => String(chargedMicroCredits);
      const text = await gate.verifiedHolds.settle({ ...hold, end, fingerprint, present });
      answer = { text };
    }
  } catch (error) {
    answer = { code: error instanceof TollgateError ? error.code : 'INTERNAL' };
  }
  auditor.heardOfEnd(call, request, answer);
}
