import type { ActionOutcome } from '../../src/actions/runner';
import { TollgateError } from '../../src/errors';
import type { ExecuteRequest, Gate } from '../../src/gate/gate';
import type { Ending } from '../../src/gate/items';
import type { OpenCall } from '../../src/gate/open-call';
import type { Auditor } from './auditor';
import { ROUTE_PACE, type SimulatedResult } from './simulated-call';

export const usageOf = (outcome: ActionOutcome) => (outcome.kind === 'ok' ? (outcome.usage ?? null) : null);

interface ForwardDeps {
  gate: Gate;
  auditor: Auditor;
  /** Waits for the upstream's answer, which may take an hour. */
  answer(): Promise<ActionOutcome>;
}

/** Makes a call as a route does: keeps its hold open while the upstream answers, and settles it at the end. */
export async function forward({ gate, auditor, answer }: ForwardDeps, request: ExecuteRequest): Promise<SimulatedResult> {
  const admittance = await gate.admit({ ...request, holdMs: ROUTE_PACE.lastsMs });
  if (admittance.kind === 'passed') throw new Error('No proxy runs this call.');
  if (admittance.kind !== 'admitted') return admittance;
  const { open } = admittance;
  const { attempt } = open.admitted.hold;
  auditor.actionStarted(attempt);
  const outcome = await new Promise<ActionOutcome | 'lost'>((resolve) => {
    open.keepOpen(ROUTE_PACE, () => {
      auditor.holdLost(attempt);
      resolve('lost');
    });
    void answer().then(resolve);
  });
  if (outcome !== 'lost') auditor.actionSaid(attempt, outcome.kind, usageOf(outcome));
  return settle(open, request, outcome);
}

async function settle(open: OpenCall, { present }: ExecuteRequest, outcome: ActionOutcome | 'lost'): Promise<SimulatedResult> {
  const { rate } = open.admitted;
  const { arrivedAt } = open.call;
  const voided = { kind: 'voided', outcome: 'FAILED', errorCode: 'UPSTREAM_FAILED', httpStatus: 502, actionMs: 1, arrivedAt } as const;
  const ending = (dataJson: string): Ending => {
    const usage = outcome === 'lost' ? null : usageOf(outcome);
    return { kind: 'posted', usage, httpStatus: 200, answer: (billing) => present(dataJson, billing), actionMs: 1, arrivedAt };
  };
  try {
    if (outcome === 'lost' || outcome.kind !== 'ok') {
      const { billing } = await open.settle(voided);
      if (outcome === 'lost' || outcome.kind === 'broke') return { kind: 'error', code: 'UPSTREAM_FAILED', details: {} };
      return { kind: 'saidNo', httpStatus: 200, errors: outcome.errors, billing, rate };
    }
    const { billing, answer } = await open.settle(ending(outcome.dataJson));
    return { kind: 'succeeded', body: answer ?? present(outcome.dataJson, billing), rate };
  } catch (error) {
    return { kind: 'error', code: error instanceof TollgateError ? error.code : 'INTERNAL', details: {} };
  }
}
