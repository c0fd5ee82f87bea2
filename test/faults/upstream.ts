import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { Execution } from './evidence';
import type { Random } from './random';

/** The behaviour of an upstream, which is also its path. */
export type Manner = 'quick' | 'slow' | 'brittle' | 'unsure';

export interface FakeUpstream {
  urlOf(manner: Manner): string;
  executions: Execution[];
  close(): Promise<void>;
}

type Answer = 'ok' | 'slow ok' | 'no' | 'no as 4xx' | '500' | '503' | 'no JSON' | 'break' | 'break midway' | 'hang';

const MANNERS: Record<Manner, readonly Answer[]> = {
  quick: ['ok'],
  slow: ['slow ok'],
  brittle: ['ok', 'ok', 'slow ok', '500', '503', 'no JSON', 'break', 'break midway', 'hang'],
  unsure: ['ok', 'no', 'no as 4xx'],
};

const SLOW_MS = { least: 20, most: 1_000 };
const HANG_MS = 4_000;

/** Starts upstreams that record every execution and its answer. */
export async function startUpstream(random: Random): Promise<FakeUpstream> {
  const executions: Execution[] = [];
  const server = createServer((request, response) => void serve(request, response, random, executions).catch(() => response.destroy()));
  server.keepAliveTimeout = 60_000; // closing a connection while a call is sent would be an unplanned fault
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    urlOf: (manner) => `http://127.0.0.1:${port}/${manner}`,
    executions,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, random: Random, executions: Execution[]): Promise<void> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  const { action, requestId, params } = JSON.parse(text) as { action: string; requestId: string; params: unknown };
  const attempt = String(request.headers['webhook-id']);
  const execution: Execution = { attempt, requestId, action, receivedAt: Date.now(), said: 'hung', saidAt: null };
  executions.push(execution);
  const answer = random.pick(MANNERS[request.url?.slice(1) as Manner]);
  if (answer === 'slow ok') await wait(random.between(SLOW_MS.least, SLOW_MS.most));
  if (answer === 'hang') await wait(HANG_MS);
  else execution.said = answer === 'ok' || answer === 'slow ok' ? 'ok' : answer.startsWith('no as') || answer === 'no' ? 'no' : 'broke';
  execution.saidAt = Date.now();
  give(response, answer, { attempt, params });
}

function give(response: ServerResponse, answer: Answer, data: object): void {
  const json = (status: number, body: object) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  const no = { ok: false, errors: [{ code: 'NO_FACE_DETECTED', message: 'There is no face.' }] };
  switch (answer) {
    case 'ok':
    case 'slow ok':
      return void json(200, { ok: true, data });
    case 'no':
      return void json(200, no);
    case 'no as 4xx':
      return void json(422, no);
    case '500':
      return void json(500, { ok: true, data });
    case '503':
      return void json(503, no);
    case 'no JSON':
      return void response.writeHead(200).end('<html>ok</html>');
    case 'break midway':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' }).write('{"ok":true,"data":{');
      return void setTimeout(() => response.destroy(), 10);
    case 'break':
    case 'hang':
      return void response.destroy();
  }
}
