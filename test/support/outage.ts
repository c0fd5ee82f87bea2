import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import libsql from 'libsql';

/** Makes a database unavailable for clients that use `url`, and available again. */
export interface Outage {
  /** A database URL for createTestApp. */
  url: string;
  /** On MySQL breaks all connections and accepts no new ones. On SQLite locks the file for writing, as another process would. */
  begin(): Promise<void>;
  end(): Promise<void>;
}

/** Prepares an outage of the database of `databaseUrl`. It is over when the test file has ended. */
export function prepareOutage(databaseUrl: string): Promise<Outage> {
  return databaseUrl.startsWith('sqlite:') ? lockOf(databaseUrl) : wireOf(databaseUrl);
}

async function lockOf(url: string): Promise<Outage> {
  let connection: InstanceType<typeof libsql> | undefined;
  const end = async () => {
    connection?.exec('ROLLBACK');
    connection?.close();
    connection = undefined;
  };
  (globalThis.atEndOfFile ??= []).unshift(end);
  return {
    url,
    begin: async () => {
      connection = new libsql(url.slice('sqlite:'.length));
      connection.exec('BEGIN IMMEDIATE');
    },
    end,
  };
}

async function wireOf(databaseUrl: string): Promise<Outage> {
  const url = new URL(databaseUrl);
  const target = { host: url.hostname, port: Number(url.port || 3306) };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target);
    for (const [socket, other] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const begin = async () => {
    if (!server.listening) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  (globalThis.atEndOfFile ??= []).unshift(begin);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return { url: url.href, begin, end: () => listen(port) };
}
