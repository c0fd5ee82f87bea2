import { createServer, request as httpRequest, type IncomingHttpHeaders, type RequestOptions, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { TollgateError } from '../../src/errors';
import { Forwarder } from '../../src/forwarding/forwarder';
import type { CompleteAnswer, Failure, ForwardRequest } from '../../src/forwarding/request';
import { listen, startRawServer } from './raw-upstream';
import { until } from './until';

/** How a call ended, as the forwarder has told it. */
export type Settled = ({ kind: 'complete' } & CompleteAnswer) | ({ kind: 'failed' } & Failure);

/** A server that forwards every request to one upstream. It answers errors with 502 and the code as the body. */
export interface Front {
  url: string;
  port: number;
  server: Server;
  settled: Settled[];
  /** Resolves with the end of the first call. */
  end(): Promise<Settled>;
}

export interface FrontOptions extends Partial<ForwardRequest> {
  /** Runs before a call is settled. An error that it returns refuses the answer. */
  onSettle?(settled: Settled): Promise<TollgateError | null>;
}

export const LOOP_ID = 'tollgate-test';
export const holder = { projectId: 'prj_1', workspaceId: 'ws_1' };

/** A forwarder for each test of a file, and servers in front of it. */
export function useForwarder(): { startFront(upstreamPort: number, options?: FrontOptions): Promise<Front>; forwarder(): Forwarder } {
  let forwarder: Forwarder;
  beforeEach(() => {
    forwarder = new Forwarder({ ownCookies: ['tollgate_session'], loopId: LOOP_ID });
  });
  afterEach(() => forwarder.close());
  return { forwarder: () => forwarder, startFront: (upstreamPort, options) => startFront(forwarder, upstreamPort, options) };
}

async function startFront(forwarder: Forwarder, upstreamPort: number, { onSettle, ...options }: FrontOptions = {}): Promise<Front> {
  const settled: Settled[] = [];
  const note = async (end: Settled): Promise<TollgateError | null> => {
    settled.push(end);
    return (await onSettle?.(end)) ?? null;
  };
  const server = createServer((incoming, outgoing) => {
    const request: ForwardRequest = {
      incoming,
      outgoing,
      origin: `http://127.0.0.1:${upstreamPort}`,
      path: incoming.url as string,
      holder,
      headersToAdd: [],
      headersToDrop: [],
      headersToAnswer: [],
      maxBodyBytes: 100 * 1024 * 1024,
      timeoutMs: 10_000,
      idleTimeoutMs: 10_000,
      maxDurationMs: 30_000,
      isBilled: (status) => status >= 200 && status < 300,
      usage: [],
      copyBudget: { keep: () => true, release: () => undefined },
      ...options,
      settle: {
        complete: (answer) => note({ kind: 'complete', ...answer }),
        failed: async (failure) => (await note({ kind: 'failed', ...failure })) ?? new TollgateError('UPSTREAM_FAILED'),
      },
    };
    const answerWith = (code: string): void => void outgoing.writeHead(502, { 'content-length': code.length }).end(code);
    forwarder.forward(request).then(
      (error) => {
        const last = settled.at(-1);
        if (error !== null) answerWith(last?.kind === 'failed' ? last.code : error.code);
      },
      () => outgoing.headersSent || answerWith('INTERNAL'),
    );
  });
  server.on('checkContinue', (incoming, outgoing) => server.emit('request', incoming, outgoing));
  const port = await listen(server);
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const end = async (): Promise<Settled> => {
    await until(() => settled.length > 0, 'the end of the call');
    return settled[0] as Settled;
  };
  return { url: `http://127.0.0.1:${port}`, port, server, settled, end };
}

/** Starts a TCP server that gives these bytes as its answer to each request, when the head of the request has arrived. */
export async function startBytes(...parts: (string | Buffer)[]): Promise<number> {
  return startRawServer((socket) => {
    onHead(socket, () => {
      for (const part of parts) socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part);
    });
  });
}

/** Calls back for each head of a request without a body, with the text of all that has arrived. */
export function onHead(socket: Socket, callBack: (text: string) => void): void {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    if (!text.endsWith('\r\n\r\n')) return;
    callBack(text);
    text = '';
  });
}

export interface Got {
  status: number;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  trailers: NodeJS.Dict<string>;
  body: Buffer;
}

/** Sends a request and reads the whole answer. Rejects if the answer breaks off. */
export function get(url: string, options: RequestOptions = {}, body?: string | Buffer): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { agent: false, ...options }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () => {
        const { statusCode, headers, rawHeaders, trailers } = answer;
        resolve({ status: statusCode as number, headers, rawHeaders, trailers, body: Buffer.concat(chunks) });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
