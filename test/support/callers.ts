import { Agent } from 'undici';

/** The answer to a call. Status 0 means that the connection broke before an answer. */
export interface CallAnswer {
  status: number;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the type of its answer
  body: any;
}

export interface LoadCall {
  url: string;
  secret: string;
  /** Sent as `X-Project-Id`. */
  projectId?: string;
  service?: string;
  body?: Record<string, unknown>;
}

export interface Callers {
  /** Makes one call, by default of `demo.echo`. Never rejects. Once the callers are closed, a call has no answer. */
  call(call: LoadCall): Promise<CallAnswer>;
  /** Makes `count` calls with all callers concurrently. Each caller reuses its connection. */
  calls(count: number, make: (index: number) => LoadCall): Promise<CallAnswer[]>;
  close(): Promise<void>;
}

/** Starts callers with persistent connections, like a client under load. They are closed at the end of the test file at the latest. */
export function startCallers(callers: number): Callers {
  const agent = new Agent({ connections: callers, pipelining: 1, headersTimeout: 120_000, bodyTimeout: 120_000 });
  let isClosed = false;
  const close = () => {
    isClosed = true;
    return agent.destroy();
  };
  (globalThis.atEndOfFile ??= []).unshift(close);
  const call = async ({ url, secret, projectId, service = 'demo', body = {} }: LoadCall): Promise<CallAnswer> => {
    const projectHeader = projectId === undefined ? {} : { 'x-project-id': projectId };
    try {
      const answer = await agent.request({
        origin: url,
        path: `/v1/${service}/execute`,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-api-key': secret, ...projectHeader },
        body: JSON.stringify({ action: 'demo.echo', params: {}, ...body }),
      });
      return { status: answer.statusCode, body: await answer.body.json() };
    } catch (error) {
      // Ends the loop of a failed test, which would keep the worker busy for ever
      if (isClosed) return new Promise(() => undefined);
      return { status: 0, body: { code: (error as { code?: string }).code } };
    }
  };
  const calls = async (count: number, make: (index: number) => LoadCall): Promise<CallAnswer[]> => {
    const answers: CallAnswer[] = [];
    let next = 0;
    const callNext = async (): Promise<void> => {
      for (let index = next++; index < count; index = next++) answers[index] = await call(make(index));
    };
    await Promise.all(Array.from({ length: Math.min(callers, count) }, callNext));
    return answers;
  };
  return { call, calls, close };
}

/** Counts answers by kind, such as `200` or `402 PAYMENT_REQUIRED`. */
export function tally(answers: CallAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, body } of answers) {
    const kind = [status, body?.error?.code].filter(Boolean).join(' ');
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}
