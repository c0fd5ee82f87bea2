import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from './until';

/** One attempt that has reached an upstream and waits for its answer. */
export interface Arrival {
  /** The log row's id: `webhook-id`. */
  attempt: string;
  requestId: string;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test knows what it sent
  params: any;
  /** Answers; ok with empty data where absent. */
  answer(body?: object): void;
}

/** An upstream that answers when a test says so. */
export interface SlowUpstream {
  url: string;
  /** Every attempt that ever came, in their order. */
  arrivals: Arrival[];
  /** The first `count` attempts, once that many have come. */
  arrived(count: number): Promise<Arrival[]>;
  /** Answers ok to all that wait, and from now on at once. */
  release(): void;
  close(): Promise<void>;
}

/** Starts one on a free port. It is closed when the test file has ended, if not before. */
export async function startSlowUpstream(): Promise<SlowUpstream> {
  const arrivals: Arrival[] = [];
  let released = false;
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const arrival = arrivalOf(request, response, body);
      arrivals.push(arrival);
      if (released) arrival.answer();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  (globalThis.atEndOfFile ??= []).unshift(close);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    arrivals,
    arrived: async (count) => {
      await until(() => arrivals.length >= count, `${count} attempts at the upstream`);
      return arrivals.slice(0, count);
    },
    release: () => {
      released = true;
      for (const arrival of arrivals) arrival.answer();
    },
    close,
  };
}

function arrivalOf(request: IncomingMessage, response: ServerResponse, body: string): Arrival {
  const { requestId, params } = JSON.parse(body) as Pick<Arrival, 'requestId' | 'params'>;
  return {
    attempt: String(request.headers['webhook-id']),
    requestId,
    params,
    answer: (answer = { ok: true, data: {} }) => {
      if (!response.writableEnded) response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
  return body;
}
