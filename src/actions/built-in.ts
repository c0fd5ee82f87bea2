import type { ActionCall, ActionOutcome } from './http-runner';

/** An action that this process runs itself. */
export interface BuiltInAction {
  readonly id: string;
  readonly service: string;
  readonly name: string;
  readonly description: string;
  readonly priceMicroCredits: number;
  /** The permission that a key needs to run it. */
  readonly permission: string;
  readonly timeoutMs: number;
  readonly run: (call: ActionCall) => ActionOutcome;
}

/** The actions of every installation. Their ids are fixed, so that they are the same everywhere. */
export const BUILT_IN_ACTIONS: readonly BuiltInAction[] = [
  {
    id: 'act_demo_echo',
    service: 'demo',
    name: 'demo.echo',
    description: 'Returns its params as data.',
    priceMicroCredits: 1000,
    permission: 'demo.echo',
    timeoutMs: 30_000,
    run: echo,
  },
  {
    id: 'act_demo_fail',
    service: 'demo',
    name: 'demo.fail',
    description: 'Always refuses the call, which is never billed.',
    priceMicroCredits: 1000,
    permission: 'demo.fail',
    timeoutMs: 30_000,
    run: fail,
  },
];

/** The built-in action with this name in this service, or undefined. */
export function findBuiltInAction(service: string, name: string): BuiltInAction | undefined {
  return BUILT_IN_ACTIONS.find((action) => action.service === service && action.name === name);
}

function echo(call: ActionCall): ActionOutcome {
  return { kind: 'ok', dataJson: call.paramsJson };
}

function fail(): ActionOutcome {
  return { kind: 'no', errors: [{ code: 'DEMO_FAILURE', message: 'This action always says no.' }] };
}
