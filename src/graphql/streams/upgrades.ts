import { EventEmitter } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterAnswers } from '../../lib/answered';

/**
 * Offers WebSockets at one path only. Node takes every request with an Upgrade header off HTTP as soon as there is a listener for upgrades.
 * Some clients send that header with each request, to offer HTTP/2. Such requests, and upgrades elsewhere, are served as if they had none.
 */
export function upgradesOf(server: Server, path: string): EventEmitter {
  const upgrades = new EventEmitter();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const isOurs = isHandshake(request) && request.url?.split('?', 1)[0] === path;
    // Node forgets the answers to earlier requests here: what is sent now would be sent before them
    afterAnswers(socket, () => (isOurs ? upgrades.emit('upgrade', request, socket, head) : putBack(server, request, socket as Socket, head)));
  });
  return upgrades;
}

/** A whole handshake of a WebSocket: ws would answer others in a form of its own. */
function isHandshake({ method, headers }: IncomingMessage): boolean {
  const { upgrade, 'sec-websocket-key': key = '', 'sec-websocket-version': version } = headers;
  return method === 'GET' && upgrade?.toLowerCase() === 'websocket' && /^[+/0-9A-Za-z]{22}==$/.test(key) && version === '13';
}

function putBack(server: Server, request: IncomingMessage, socket: Socket, head: Buffer): void {
  if (head.length > 0) socket.unshift(head); // not copied together with the request: it may hold many more requests
  socket.unshift(withoutUpgrade(request));
  socket.setTimeout(0); // that of an idle connection, which this one is no longer
  server.emit('connection', socket);
}

function withoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const [name = '', value = ''] = rawHeaders.slice(index, index + 2);
    if (/^(upgrade|http2-settings)$/i.test(name)) continue;
    const kept = /^connection$/i.test(name) ? value.split(',').filter((option) => !/^\s*(upgrade|http2-settings)\s*$/i.test(option)).join(',') : value;
    if (kept !== '' || value === '') text += `${name}: ${kept}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}
