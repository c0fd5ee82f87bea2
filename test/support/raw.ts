import { connect, type Socket } from 'node:net';
import { until } from './until';

export interface RawConnection {
  socket: Socket;
  /** Returns all received bytes as latin1. */
  text(): string;
  /** Returns the statuses of the received answers. */
  statuses(): number[];
  /** Resolves when this many answers have arrived. */
  answers(count: number): Promise<void>;
  /** Resolves when the server has closed the connection. */
  closed(): Promise<void>;
}

/** Sends bytes unchanged on a new connection. */
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
