import { BUILT_IN_ACTIONS } from '../src/actions/built-in';
import { ActionRunner, type ActionOutcome } from '../src/actions/runner';
import { SIGNING_SECRETS, callOf, failed } from './support/runner';

const runner = new ActionRunner({ signingSecrets: SIGNING_SECRETS });

afterAll(() => runner.close());

describe('built-in actions', () => {
  const builtIn = (name: string, paramsJson?: string): Promise<ActionOutcome> =>
    runner.run({ service: 'demo', name, upstreamUrl: null, timeoutMs: 30_000, passStatuses: [] }, callOf(paramsJson));

  it('are demo.echo and demo.fail, cost 1000 micro-credits each, and need the permission with the name of the action', () => {
    const actions = BUILT_IN_ACTIONS.map(({ id, service, name, priceMicroCredits, permission, timeoutMs }) => {
      return { id, service, name, priceMicroCredits, permission, timeoutMs };
    });
    expect(actions).toEqual([
      { id: 'act_demo_echo', service: 'demo', name: 'demo.echo', priceMicroCredits: 1000, permission: 'demo.echo', timeoutMs: 30_000 },
      { id: 'act_demo_fail', service: 'demo', name: 'demo.fail', priceMicroCredits: 1000, permission: 'demo.fail', timeoutMs: 30_000 },
    ]);
  });

  it('demo.echo returns its params as data, with their text unchanged', async () => {
    const paramsJson = '{"a": [1.0, {"b": 12345678901234567890}]}';
    expect(await builtIn('demo.echo', paramsJson)).toEqual({ kind: 'ok', dataJson: paramsJson });
  });

  it('demo.fail refuses with DEMO_FAILURE', async () => {
    expect(await builtIn('demo.fail')).toEqual({ kind: 'no', errors: [{ code: 'DEMO_FAILURE', message: expect.any(String) as string }] });
  });

  it('that do not exist in this version are UPSTREAM_FAILED', async () => {
    expect(await builtIn('demo.gone')).toEqual(failed);
  });
});
