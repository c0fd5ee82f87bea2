import { setTimeout as wait } from 'node:timers/promises';
import { Agent } from 'undici';

/** The answer to an administrator: data, a refusal with its code, or an unknown outcome. */
export type AdminAnswer<T> =
  { kind: 'data'; data: T; at: number } | { kind: 'refused'; code: string; message: string } | { kind: 'unknown' };

/** Codes that leave the outcome of the operation unknown. It may be sent again. */
const PASSING = new Set(['SERVICE_UNAVAILABLE', 'INTERNAL']);
const RETRY_MS = 250;
const TRIES = 240;

/** A client with the root key that can call every server. */
export class AdminClient {
  /** Each INTERNAL answer with its operation. There should be none: a lost database must be SERVICE_UNAVAILABLE. */
  readonly internals: string[] = [];
  private readonly agent = new Agent({ connections: 16, pipelining: 1, headersTimeout: 60_000, bodyTimeout: 60_000 });

  constructor(
    private readonly urls: readonly string[],
    private readonly rootKey: string,
    private readonly stopped: () => boolean,
  ) {}

  /** Sends an operation once. */
  async send<T>(node: number, query: string, input: object): Promise<AdminAnswer<T>> {
    try {
      const answer = await this.agent.request({
        origin: this.urls[node % this.urls.length] as string,
        path: '/graphql',
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-api-key': this.rootKey },
        body: JSON.stringify({ query, variables: { input } }),
      });
      const { data, errors } = (await answer.body.json()) as { data?: T; errors?: { message: string; extensions?: { code?: string } }[] };
      const at = Date.now();
      const [error] = errors ?? [];
      if (!error) return data ? { kind: 'data', data, at } : { kind: 'unknown' };
      const code = error.extensions?.code ?? 'none';
      if (code === 'INTERNAL') this.internals.push(`${error.message} (${query.slice(0, 80)})`);
      return PASSING.has(code) ? { kind: 'unknown' } : { kind: 'refused', code, message: error.message };
    } catch {
      return { kind: 'unknown' };
    }
  }

  /** Sends an idempotent operation to one server after the other until the outcome is known. */
  async insist<T>(node: number, query: string, input: object): Promise<AdminAnswer<T>> {
    for (let tries = 0; tries < TRIES && !this.stopped(); tries += 1) {
      const answer = await this.send<T>(node + tries, query, input);
      if (answer.kind !== 'unknown') return answer;
      await wait(RETRY_MS);
    }
    return { kind: 'unknown' };
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }
}

const mutation = (name: string, input: string, answer: string): string =>
  `mutation ($input: ${input}!) { ${name}(input: $input) { ${answer} } }`;

export const CREATE_WORKSPACE = mutation('createWorkspace', 'CreateWorkspaceInput', 'workspace { id }');
export const CREATE_PROJECT = mutation('createProject', 'CreateProjectInput', 'project { id }');
export const UPDATE_PROJECT = mutation('updateProject', 'UpdateProjectInput', 'project { id }');
export const ARCHIVE_PROJECT = mutation('archiveProject', 'ArchiveProjectInput', 'project { id archivedAt budget { balance } }');
export const CREATE_ACTION = mutation('createAction', 'CreateActionInput', 'action { id }');
export const UPDATE_ACTION = mutation('updateAction', 'UpdateActionInput', 'action { id }');
export const MINT_KEY = mutation('mintKey', 'MintKeyInput', 'secret key { id }');
export const UPDATE_KEY = mutation('updateKey', 'UpdateKeyInput', 'key { id status }');
export const ROTATE_KEY = mutation('rotateKey', 'RotateKeyInput', 'secret key { id }');
export const REVOKE_KEY = mutation('revokeKey', 'RevokeKeyInput', 'key { id status }');
export const TOP_UP = mutation('topUpWallet', 'TopUpWalletInput', 'entry { id }');
export const ALLOCATE = mutation('allocateBudget', 'AllocateBudgetInput', 'entry { id }');
export const REFUND = mutation('refundRequest', 'RefundRequestInput', 'entry { id }');
