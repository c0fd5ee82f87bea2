import { get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** An export as it comes in, line by line. */
export interface Lines {
  status: number;
  headers: IncomingMessage['headers'];
  /** The lines so far that are not empty. */
  lines: Record<string, unknown>[];
  /** Resolves when the server has ended it: true, or false where the connection broke. */
  ended: Promise<boolean>;
  /** Takes nothing more until `resume`. */
  pause(): void;
  resume(): void;
  hangUp(): void;
}

/** The answers that a server gives from now on, as it has them itself: a reader that takes nothing does not see that it was cut off. */
export function answersOf(server: Server): ServerResponse[] {
  const answers: ServerResponse[] = [];
  server.on('request', (_request, answer) => answers.push(answer));
  return answers;
}

/** Asks for an export. Resolves when its headers are there. */
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
