import { ActionRunner, type ActionCall, type ActionOutcome } from '../../src/actions/runner';
import { startRawUpstream, type Answer } from './raw-upstream';

/** The secrets that the runners of the tests sign with. */
export const SIGNING_SECRETS = [`whsec_${Buffer.alloc(24, 1).toString('base64')}`, `whsec_${Buffer.alloc(64, 2).toString('base64')}`];

/** A call as the gate hands it to a runner. */
export function callOf(paramsJson = '{"image":"ä🙂"}'): ActionCall {
  return {
    attempt: 'log_0VKq3Zb1M8fD2sYt6Hc0Qw',
    action: 'biofrq.detect',
    requestId: '7b0c6a6e-6f0e-7c51-8d3f-0f8f3f4f5a6b',
    paramsJson,
    debug: true,
    context: { workspaceId: 'ws_1', projectId: 'prj_1', credentialId: 'key_1', keyId: 'key_1', environment: 'LIVE', galleryId: 'default' },
  };
}

/** Outcomes of calls: the upstream failed, and the upstream took too long. */
export const failed = { kind: 'broke', code: 'UPSTREAM_FAILED', cause: expect.any(String) as string };
export const timedOut = { kind: 'broke', code: 'UPSTREAM_TIMEOUT', cause: expect.any(String) as string };

export interface RunnerInUse {
  /** Runs a call at an upstream. The default time limit is ten seconds. */
  run(upstreamUrl: string, timeoutMs?: number, call?: ActionCall): Promise<ActionOutcome>;
  /** Runs a call at a new upstream that gives this answer. */
  runAgainst(answer: Answer, timeoutMs?: number): Promise<ActionOutcome>;
  /** Closes the runner before its test has ended. */
  close(): Promise<void>;
}

/** A runner for each test of a file, closed after it. */
export function useRunner(): RunnerInUse {
  let runner: ActionRunner;
  beforeEach(() => {
    runner = new ActionRunner({ signingSecrets: SIGNING_SECRETS });
  });
  afterEach(() => runner.close());
  const run: RunnerInUse['run'] = (upstreamUrl, timeoutMs = 10_000, call = callOf()) =>
    runner.run({ service: 'face', name: call.action, upstreamUrl, timeoutMs, passStatuses: [] }, call);
  return {
    run,
    runAgainst: async (answer, timeoutMs) => run((await startRawUpstream(answer)).url, timeoutMs),
    close: () => runner.close(),
  };
}
