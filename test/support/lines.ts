import { get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** An export that is read line by line. */
export interface Lines {
  status: number;
  headers: IncomingMessage['headers'];
  /** Lines read so far, without empty ones. */
  lines: Record<string, unknown>[];
  /** Resolves to true when the server ends the export, and to false if the connection breaks. */
  ended: Promise<boolean>;
  /** Reads nothing more until `resume`. */
  pause(): void;
  resume(): void;
  hangUp(): void;
}

/** Collects the server's side of its answers from now on, because a client that reads nothing does not notice a closed connection. */
export function answersOf(server: Server): ServerResponse[] {
  const answers: ServerResponse[] = [];
  server.on('request', (_request, answer) => answers.push(answer));
  return answers;
}

/** Requests an export. Resolves when its headers have arrived. */
export function openLines(url: string, path: string, secret: string): Promise<Lines> {
  return new Promise((resolve, reject) => {
    const outgoing = get(`${url}${path}`, { headers: { 'x-api-key': secret, connection: 'close' } }, (answer) => {
      const lines: Record<string, unknown>[] = [];
      let rest = '';
      answer.setEncoding('utf8').on('data', (text: string) => {
        const parts = (rest + text).split('\n');
        rest = parts.pop() ?? '';
        lines.push(...parts.filter((part) => part !== '').map((part) => JSON.parse(part) as Record<string, unknown>));
      });
      const ended = new Promise<boolean>((end) => {
        answer.once('end', () => end(true)).once('error', () => end(false));
      });
      resolve({
        status: answer.statusCode ?? 0,
        headers: answer.headers,
        lines,
        ended,
        pause: () => void answer.pause(),
        resume: () => void answer.resume(),
        hangUp: () => void outgoing.destroy(),
      });
    });
    outgoing.once('error', reject);
  });
}
