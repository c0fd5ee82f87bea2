import { request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import type { RestAnswer } from './clients';

export interface HttpRequest {
  method?: string;
  /** Sent as it is: nothing is escaped or normalised. */
  path: string;
  headers?: OutgoingHttpHeaders;
  /** Sent in chunks, without a Content-Length, unless `headers` has one. */
  body?: string | Buffer;
}

/** One request on a connection of its own, for what fetch would mend or refuse. The body of an answer that is not JSON is its text. */
export async function send(url: string, { method = 'GET', path, headers = {}, body }: HttpRequest): Promise<RestAnswer> {
  const { hostname, port } = new URL(url);
  const chunked = body !== undefined && headers['content-length'] === undefined ? { 'transfer-encoding': 'chunked' } : {}; // Node would count it
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
