import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAnswers } from '../../lib/answered';

/**
 * Accepts WebSockets at one path only. If a server listens for upgrades, Node no longer handles requests with an Upgrade header as HTTP.
 * Some clients send this header with each request, to offer HTTP/2. Such requests, and upgrades at other paths, are served as plain HTTP.
 */
export function upgradesOf(server: Server, path: string): EventEmitter {
  const upgrades = new EventEmitter();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const isOurs = isHandshake(request) && request.url?.split('?', 1)[0] === path;
    // Waits for the answers to earlier requests on this socket: Node would send a new answer before them
    afterAnswers(socket, () => {
      if (isOurs) upgrades.emit('upgrade', request, socket, head);
      else putBack(server, request, socket as Socket, head);
    });
  });
  return upgrades;
}

/** True for a complete WebSocket handshake. Others are served as HTTP, because ws would answer them in its own format. */
function isHandshake({ method, headers }: IncomingMessage): boolean {
  const { upgrade, 'sec-websocket-key': key = '', 'sec-websocket-version': version } = headers;
  return method === 'GET' && upgrade?.toLowerCase() === 'websocket' && /^[+/0-9A-Za-z]{22}==$/.test(key) && version === '13';
}

function putBack(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): void {
  if (head.length > 0) socket.unshift(head); // separate from the request, to avoid a copy: it may hold many more requests
  socket.unshift(withoutUpgrade(request));
  socket.setTimeout(0); // clears the timeout of the idle connection
  server.emit('connection', socket);
}

function withoutUpgradeOptions(connection: string): string {
  const options = connection.split(',');
  return options.filter((option) => !/^\s*(upgrade|http2-settings)\s*$/i.test(option)).join(',');
}

function withoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    if (/^(upgrade|http2-settings)$/i.test(name)) continue;
    const kept = /^connection$/i.test(name) ? withoutUpgradeOptions(value) : value;
    if (kept !== '' || value === '') text += `${name}: ${kept}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}
