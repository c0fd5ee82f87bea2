import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { Served } from './evidence-ways';
import type { Random } from './random';

// An API behind routes. It knows nothing of Tollgate, and counts what it has served.

export interface Api {
  url: string;
  close(): Promise<void>;
}

/** Longer than the 30 s after which a hold is renewed. */
const LONG_MS = 33_000;

/** Starts the API. With `lastsLong`, one stream in fifty lasts longer than half a minute. */
export async function startApi(random: Random, served: Served[], lastsLong: boolean): Promise<Api> {
  const server = createServer((request, response) => {
    serve(request, response, random, served, lastsLong).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 60_000; // closing a connection while a call is sent would be an unplanned fault
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function serve(request: IncomingMessage, response: ServerResponse, random: Random, served: Served[], lastsLong: boolean) {
  request.resume();
  const status = random.pick([200, 200, 200, 200, 200, 200, 200, 201, 422, 500]);
  const requestId = String(request.headers['tollgate-request-id']);
  const tokens = random.whole(0, 80);
  const mine: Served = { requestId, mark: served.length, status, tokens, receivedAt: Date.now(), completeAt: null };
  served.push(mine);
  if (!request.complete) await once(request, 'end');
  if (random.chance(0.3)) await wait(random.between(0, 1_000));
  const breaks = random.chance(0.06);
  const last = JSON.stringify({ mark: mine.mark, usage: { tokens } });
  if (request.url?.endsWith('/streamed') && status < 300) {
    response.writeHead(status, { 'content-type': 'text/event-stream' });
    const events = random.whole(2, 6);
    const lastsMs = lastsLong && random.chance(0.02) ? LONG_MS : random.between(100, 3_000);
    for (let event = 0; event < events; event += 1) {
      response.write(`data: {"text":"${'x'.repeat(100)}"}\n\n`);
      await wait(lastsMs / events);
      if (breaks) return void response.destroy();
    }
    response.end(`data: ${last}\n\n`);
  } else {
    const sized = random.chance(0.5) ? { 'content-length': Buffer.byteLength(last) } : {};
    response.writeHead(status, { 'content-type': 'application/json', ...sized }).write(last.slice(0, 8));
    if (random.chance(0.3)) await wait(random.between(0, 300));
    if (breaks) return void response.destroy();
    response.end(last.slice(8));
  }
  mine.completeAt = Date.now(); // it is sent at this moment, or later
}
