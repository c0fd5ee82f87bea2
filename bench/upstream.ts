import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

// The upstream of the routes and of the proxies. It does as little as possible for a request:
//
// - POST /bench/small     reads the body and answers a small JSON
// - GET  /bench/download  answers ?bytes= bytes
// - PUT  /bench/upload    reads the body and answers its length
// - PUT  /bench/stuck     never reads the body and never answers
// - GET  /bench/events    sends ?count= events, one every ?ms= milliseconds, each with the time at which it was sent
//
// It listens on two ports, because Tollgate limits the calls at one origin.

const SMALL = Buffer.from(JSON.stringify({ ok: true, items: [1, 2, 3], text: 'a small answer, as many services give it' }));
const CHUNK = Buffer.alloc(65_536, 'x');

/** The time of a clock that all processes of this machine share, in microseconds. */
const nowUs = (): string => String(process.hrtime.bigint() / 1_000n);

function answerSmall(incoming: IncomingMessage, outgoing: ServerResponse): void {
  incoming.resume().once('end', () => {
    outgoing.writeHead(200, { 'content-type': 'application/json', 'content-length': SMALL.length }).end(SMALL);
  });
}

function download(outgoing: ServerResponse, bytes: number): void {
  let left = bytes;
  outgoing.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes });
  const send = (): void => {
    while (left > 0) {
      const chunk = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
      left -= chunk.length;
      if (!outgoing.write(chunk)) return void outgoing.once('drain', send);
    }
    outgoing.end();
  };
  send();
}

function upload(incoming: IncomingMessage, outgoing: ServerResponse): void {
  let bytes = 0;
  incoming.on('data', (chunk: Buffer) => (bytes += chunk.length)).once('end', () => outgoing.end(String(bytes)));
}

function sendEvents(outgoing: ServerResponse, everyMs: number, count: number): void {
  let left = count;
  outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
  const timer = setInterval(() => {
    left -= 1;
    outgoing.write(`data: ${nowUs()}\n\n`);
    if (left === 0) outgoing.end();
  }, everyMs);
  outgoing.once('close', () => clearInterval(timer)).flushHeaders();
}

function answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { pathname, searchParams } = new URL(incoming.url ?? '/', 'http://upstream');
  switch (pathname) {
    case '/bench/small':
      return answerSmall(incoming, outgoing);
    case '/bench/download':
      return download(outgoing, Number(searchParams.get('bytes')));
    case '/bench/upload':
      return upload(incoming, outgoing);
    case '/bench/stuck':
      return;
    case '/bench/events':
      return sendEvents(outgoing, Number(searchParams.get('ms')), Number(searchParams.get('count')));
    default:
      incoming.resume();
      outgoing.writeHead(404).end();
  }
}

/** Listens on a free port and returns the URL. Idle connections stay open, so that no proxy sees one close just when it sends. */
function listen(): Promise<string> {
  const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, answer);
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
}

async function main(): Promise<void> {
  const urls = await Promise.all([listen(), listen()]);
  process.once('SIGTERM', () => process.exit(0));
  console.log(`second ${urls[1]}\nlistening on ${urls[0]}`);
}

void main();
