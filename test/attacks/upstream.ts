import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** An upstream that answers after `params.waitMs`. */
export async function startUpstream(): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => void serve(request, response).catch(() => response.destroy()));
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${port}/wait`, close };
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  const { params } = JSON.parse(text) as { params: { waitMs?: number } };
  await wait(params.waitMs ?? 0);
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true,"data":{}}');
}
