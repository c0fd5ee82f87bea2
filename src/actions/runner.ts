import { findBuiltInAction } from './built-in';
import { HttpRunner, type ActionCall, type ActionOutcome, type ActionTarget, type HttpRunnerOptions, type Runner } from './http-runner';

// Others take these from here. They are declared there because files must not import each other, not even for a type.
export type { ActionCall, ActionError, ActionOutcome, ActionTarget, Runner } from './http-runner';

/** Runs every action of the catalogue: the built-in ones in this process, the others at their upstream. */
export class ActionRunner implements Runner {
  private readonly http: HttpRunner;

  /** Throws where there is no signing secret, or one that is not base64. */
  constructor(options: HttpRunnerOptions) {
    this.http = new HttpRunner(options);
  }

  /** The outcome of one attempt, `timeoutMs` after this call at the latest. Never rejects. */
  async run(target: ActionTarget, call: ActionCall): Promise<ActionOutcome> {
    if (target.upstreamUrl !== null) return this.http.run(target, call);
    const action = findBuiltInAction(target.service, target.name);
    // The catalogue may have been written by a version that had more of them.
    if (!action) return broke(`There is no built-in action ${target.name} in the service ${target.service}.`);
    try {
      return action.run(call);
    } catch (error) {
      return broke(`The built-in action ${target.name} threw: ${String(error)}`);
    }
  }

  /** Breaks off what still runs, as UPSTREAM_FAILED, and closes every connection. Calls after that are UPSTREAM_FAILED. */
  close(): Promise<void> {
    return this.http.close();
  }
}

function broke(cause: string): ActionOutcome {
  return { kind: 'broke', code: 'UPSTREAM_FAILED', cause };
}
