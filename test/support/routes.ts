import { createServer, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { RequestOptions, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestApp } from './app';
import { mutations } from './mutate';

/** A request as an API behind a route got it, with its whole body. */
export interface ApiRequest {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export type ApiHandler = (request: ApiRequest, response: ServerResponse, incoming: IncomingMessage) => void;

export interface Api {
  url: string;
  port: number;
  requests: ApiRequest[];
  /** Answers each new request. */
  handle: ApiHandler;
}

/** Starts an API that knows nothing of Tollgate, on a free port. It is closed at the end of the test file. */
export async function startApi(): Promise<Api> {
  const api: Api = { url: '', port: 0, requests: [], handle: (_request, response) => response.end('{}') };
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const { method = '', url = '', headers } = incoming;
      const request = { method, url, headers, body: Buffer.concat(chunks) };
      api.requests.push(request);
      api.handle(request, response, incoming);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  api.port = (server.address() as AddressInfo).port;
  api.url = `http://127.0.0.1:${api.port}`;
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return api;
}

let made = 0;

/** Creates an action and a route to it, as the operator. `action` and `route` replace the usual values. */
export async function buildRoute(
  app: TestApp,
  { action = {}, route }: { action?: Record<string, unknown>; route: Record<string, unknown> },
): Promise<{ id: string; actionId: string; permission: string; actionName: string }> {
  const { mutate } = mutations(app);
  const name = `api.made-${(made += 1)}`;
  const input = { service: 'api', name, permission: name, priceMicroCredits: 10, ...action };
  const { id: actionId, permission } = (await mutate('createAction', input, 'action { id permission }')).action;
  const created = await mutate('createRoute', { actionId, ...route }, 'route { id version }');
  return { id: created.route.id, actionId, permission, actionName: input.name };
}

export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  body: Buffer;
  text: string;
  trailers: NodeJS.Dict<string>;
  /** True if the answer came to its end. */
  isComplete: boolean;
}

/** Sends one HTTP request exactly as given, and reads its answer to its end or to the end of the connection. */
export function send(url: string, options: RequestOptions & { body?: string | Buffer } = {}): Promise<HttpAnswer> {
  const { body, ...rest } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { agent: false, ...rest }, (response) => {
      const chunks: Buffer[] = [];
      const end = () => {
        const whole = Buffer.concat(chunks);
        const { statusCode: status = 0, headers, rawHeaders, trailers, complete: isComplete } = response;
        resolve({ status, headers, rawHeaders, body: whole, text: whole.toString(), trailers, isComplete });
      };
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('close', end).on('error', () => undefined);
    });
    request.on('error', reject).end(body);
  });
}
