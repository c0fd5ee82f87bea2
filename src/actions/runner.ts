import { findBuiltInAction } from './built-in';
import { HttpRunner, type ActionCall, type ActionOutcome, type ActionTarget, type HttpRunnerOptions, type Runner } from './http-runner';

// Exported here for other folders. Declared in http-runner.ts because two files must not import each other, not even types.
export type { ActionCall, ActionError, ActionOutcome, ActionTarget, Runner } from './http-runner';

/** Runs every action of the catalogue: the built-in ones in this process, the others at their upstream. */
export class ActionRunner implements Runner {
  private readonly http: HttpRunner;

  /** Throws if there is no signing secret or one is not base64. */
  constructor(options: HttpRunnerOptions) {
    this.http = new HttpRunner(options);
  }

  canRun(target: Pick<ActionTarget, 'service' | 'name' | 'upstreamUrl'>): boolean {
    return this.http.canRun(target) || findBuiltInAction(target.service, target.name) !== undefined;
  }

  /** Runs one attempt. Resolves after `timeoutMs` at the latest. Never rejects. */
  async run(target: ActionTarget, call: ActionCall): Promise<ActionOutcome> {
    if (target.upstreamUrl !== null) return this.http.run(target, call);
    const action = findBuiltInAction(target.service, target.name);
    // A version with more built-in actions may have written the catalogue
    if (!action) return broke(`There is no built-in action ${target.name} in the service ${target.service}.`);
    try {
      return action.run(call);
    } catch (error) {
      return broke(`The built-in action ${target.name} threw: ${String(error)}`);
    }
  }

  /** Breaks off running attempts and closes all connections. The outcome of these and of all later attempts is UPSTREAM_FAILED. */
  close(): Promise<void> {
    return this.http.close();
  }
}

function broke(cause: string): ActionOutcome {
  return { kind: 'broke', code: 'UPSTREAM_FAILED', cause };
}
