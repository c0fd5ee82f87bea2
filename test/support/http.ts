import { request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { RestAnswer } from './clients';

export interface HttpRequest {
  method?: string;
  /** Sent unchanged: neither escaped nor normalised. */
  path: string;
  headers?: OutgoingHttpHeaders;
  /** Sent in chunks, without a Content-Length, unless `headers` has one. */
  body?: string | Buffer;
}

/** Sends a request on a new connection, for requests that fetch would correct or refuse. A body that is not JSON is its text. */
export async function send(url: string, { method = 'GET', path, headers = {}, body }: HttpRequest): Promise<RestAnswer> {
  const { hostname, port } = new URL(url);
  const isChunked = body !== undefined && headers['content-length'] === undefined;
  const chunked = isChunked ? { 'transfer-encoding': 'chunked' } : {}; // otherwise Node adds a Content-Length
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = request({ hostname, port, method, path, headers: { connection: 'close', ...chunked, ...headers } }, resolve);
    outgoing.on('error', reject).end(body);
  });
  let text = '';
  for await (const chunk of answer.setEncoding('utf8')) text += String(chunk);
  const pairs = Object.entries(answer.headers).map(([name, value]) => [name, String(value)] as [string, string]);
  return { status: answer.statusCode ?? 0, headers: new Headers(pairs), body: parse(text) };
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}
