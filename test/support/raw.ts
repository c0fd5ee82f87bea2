import { connect, type Socket } from 'node:net';
import { until } from './until';

export interface RawConnection {
  socket: Socket;
  /** All that came, as latin1. */
  text(): string;
  /** The statuses of the answers that came. */
  statuses(): number[];
  /** Resolves once so many answers came. */
  answers(count: number): Promise<void>;
  /** Resolves once the server has closed the connection. */
  closed(): Promise<void>;
}

/** Sends bytes as they are, on a connection of their own. */
export function sendRaw(url: string, bytes: string | Buffer): RawConnection {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => undefined);
  const chunks: string[] = [];
  socket.on('data', (chunk: Buffer) => void chunks.push(chunk.toString('latin1')));
  socket.write(bytes);
  const text = () => chunks.join('');
  const statuses = () => [...text().matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  return {
    socket,
    text,
    statuses,
    answers: (count) => until(() => statuses().length >= count, `${count} answers`),
    closed: () => until(() => socket.closed, 'the end of the connection'),
  };
}
