import { Socket } from 'node:net';
import { Agent, buildConnector } from 'undici';

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Connections to upstreams over HTTP/1.1. They are kept alive and used again. A connection has one call at a time, and a call has no time
 * limit here: its owner limits it.
 */
export class UpstreamConnections {
  readonly agent: Agent;
  private readonly connector = buildConnector({ timeout: CONNECT_TIMEOUT_MS, allowH2: false });
  private readonly connecting = new Set<unknown>();
  private resetting = false;

  constructor(options: Omit<Agent.Options, 'connect'>) {
    this.agent = new Agent({
      pipelining: 1, // a call must not wait for the answer of another call or fail together with it
      headersTimeout: 0,
      bodyTimeout: 0,
      ...options,
      connect: (connection, callback) => this.connect(connection, callback),
    });
  }

  /**
   * True while a connection reports an error. undici passes on an answer without length as complete even if its connection was reset in the
   * middle. A handler that is told about the end of an answer can ask here if that is the reason.
   */
  get isReset(): boolean {
    return this.resetting;
  }

  /** Closes all connections. Calls in flight and all later calls fail. */
  async close(): Promise<void> {
    const destroyed = this.agent.destroy();
    for (const socket of this.connecting) if (socket instanceof Socket) socket.destroy(new Error('The server is shutting down.'));
    await destroyed;
  }

  /** Remembers sockets that are connecting, because undici does not close them with its agent, and they would keep the process alive. */
  private connect(options: buildConnector.Options, callback: buildConnector.Callback): void {
    const socket: unknown = this.connector(options, (...result) => {
      this.connecting.delete(socket);
      const [, connected] = result;
      if (connected) {
        connected.once('error', () => this.noteReset()); // before the listener of undici
        this.readBeforeFailing(connected);
      }
      callback(...result);
    });
    this.connecting.add(socket);
  }

  /**
   * An upstream can answer and close while it is still being sent a body. The next write fails then, and Node would drop the answer that
   * has already arrived. So the failure of a write is reported when all that has arrived is read. Reading always ends or fails.
   */
  private readBeforeFailing(socket: Socket): void {
    const after = (done: (error?: Error | null) => void) => (error?: Error | null) => {
      if (!error || socket.destroyed) return done(error);
      socket.prependOnceListener('end', () => this.noteReset());
      socket.once('close', () => done(error));
    };
    const { _write: write, _writev: writev } = socket;
    socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, after(done));
    socket._writev = (chunks, done) => writev?.call(socket, chunks, after(done));
  }

  private noteReset(): void {
    this.resetting = true;
    queueMicrotask(() => (this.resetting = false)); // runs when all listeners of this error have run
  }
}
