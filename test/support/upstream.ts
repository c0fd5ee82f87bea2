import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from './until';

/** A call that has reached an upstream. The test answers it. */
export interface UpstreamCall {
  headers: IncomingHttpHeaders;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the type of its body
  body: any;
  succeed(data?: object): void;
  sayNo(code: string, message: string): void;
  /** Answers with this text. */
  reply(status: number, text: string, headers?: Record<string, string>): void;
  /** Closes the connection in the middle of an answer. */
  breakOff(): void;
}

export interface Upstream {
  url: string;
  /** All calls in the order of their arrival. */
  calls: UpstreamCall[];
  /** Answers each new call. Does nothing at first, so that calls wait. */
  answer: (call: UpstreamCall) => void;
  /** Resolves to the newest call when this many have arrived. */
  arrived(count: number): Promise<UpstreamCall>;
  /** Lets all waiting calls succeed, and all new ones. */
  release(): void;
}

/** Starts an HTTP upstream on a free port. It is closed at the end of the test file. */
export async function startUpstream(): Promise<Upstream> {
  const upstream: Upstream = {
    url: '',
    calls: [],
    answer: () => undefined,
    arrived: async (count) => {
      await until(() => upstream.calls.length >= count, `${count} calls at the upstream`);
      return upstream.calls.at(-1) as UpstreamCall;
    },
    release: () => {
      upstream.answer = (call) => call.succeed();
      for (const call of upstream.calls) call.succeed();
    },
  };
  const server = createServer((request, response) => {
    void toCall(request, response).then((call) => {
      upstream.calls.push(call);
      upstream.answer(call);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  upstream.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/actions`;
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return upstream;
}

async function toCall(request: IncomingMessage, response: ServerResponse): Promise<UpstreamCall> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  const reply: UpstreamCall['reply'] = (status, body, headers = { 'content-type': 'application/json' }) => {
    if (!response.headersSent) response.writeHead(status, headers).end(body); // the first answer counts
  };
  return {
    headers: request.headers,
    body: JSON.parse(text),
    reply,
    succeed: (data = {}) => reply(200, JSON.stringify({ ok: true, data })),
    sayNo: (code, message) => reply(200, JSON.stringify({ ok: false, errors: [{ code, message }] })),
    breakOff: () => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      response.write('{"ok":true', () => response.destroy());
    },
  };
}
