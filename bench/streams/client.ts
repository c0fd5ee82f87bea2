import { once } from 'node:events';
import { Agent, request, type ClientRequest, type IncomingMessage } from 'node:http';

// A client for streams. All its connections are kept alive, and it opens as many as it needs.

const CHUNK = Buffer.alloc(65_536, 'x');

/** A server, and the secret that it wants. */
export interface Place {
  url: string;
  secret: string;
}

export const agent = new Agent({ keepAlive: true });

/** Starts a request without body. Resolves with the head of its answer. Throws if its status is not 200. */
export async function get({ url, secret }: Place, path: string): Promise<IncomingMessage> {
  return answerTo(request(url + path, { agent, headers: { 'x-api-key': secret } }).end());
}

/** Sends a body of `bytes` bytes, as fast as the server takes it. Does not wait for the answer. */
export function put({ url, secret }: Place, path: string, bytes: number): ClientRequest {
  const headers = { 'x-api-key': secret, 'content-type': 'application/octet-stream', 'content-length': bytes };
  const sending = request(url + path, { agent, method: 'PUT', headers });
  let left = bytes;
  const send = (): void => {
    while (left > 0) {
      const chunk = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left);
      left -= chunk.length;
      if (!sending.write(chunk)) return void sending.once('drain', send);
    }
    sending.end();
  };
  send();
  return sending;
}

/** Resolves with the head of an answer. Throws if its status is not 200. */
export async function answerTo(sending: ClientRequest): Promise<IncomingMessage> {
  const [response] = (await once(sending, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) {
    response.resume();
    throw new Error(`${sending.method} ${sending.path} was answered ${response.statusCode}.`);
  }
  return response;
}

/** Reads an answer to its end. Returns its length. Throws if it breaks off. */
export async function readBytes(response: IncomingMessage): Promise<number> {
  let bytes = 0;
  response.on('data', (chunk: Buffer) => (bytes += chunk.length));
  await once(response, 'end');
  return bytes;
}
