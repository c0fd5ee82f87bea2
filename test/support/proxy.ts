import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * What becomes of a packet: `lost` never reaches the server and the connection breaks; `unanswered` reaches it, and the connection
 * breaks before its answer comes back; `late` reaches it only when the test says so, whoever has given up on it meanwhile.
 */
export type Fate = 'lost' | 'unanswered' | 'late';

/** Stands between a client and a database server, and breaks connections at the packet that a test names. */
export interface Proxy {
  port: number;
  /** The next packet of a client that holds `text` meets this fate. Resolves when it has. */
  strike(text: string, fate: Fate): Promise<void>;
  /** Lets the packets through that are late. */
  deliver(): void;
  /** Breaks every connection that there is. */
  cut(): void;
  /** Passes nothing on any more between those that are connected now, who are not told. */
  silence(): void;
}

/** Starts one in front of `target` (a URL's host and port). It is closed when the test file has ended. */
export async function startProxy(target: { hostname: string; port: string }): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const late: (() => void)[] = [];
  const silent = new WeakSet<Socket>();
  const strikes: { text: string; fate: Fate; done(): void }[] = [];

  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ host: target.hostname, port: Number(target.port || 3306), allowHalfOpen: true });
    let muted = false;
    let holding = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true).on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('data', (data) => {
      if (silent.has(client)) return;
      const index = strikes.findIndex(({ text }) => data.includes(text));
      if (index === -1) return void upstream.write(data);
      const [{ fate, done }] = strikes.splice(index, 1) as [(typeof strikes)[number]];
      done();
      if (fate === 'lost') return [client, upstream].forEach((socket) => socket.destroy());
      if (fate === 'unanswered') {
        muted = true; // its answer ends the connection
        return void upstream.write(data);
      }
      holding = true;
      late.push(() => upstream.end(data));
    });
    upstream.on('data', (data) => {
      if (silent.has(upstream)) return;
      if (muted) [client, upstream].forEach((socket) => socket.destroy());
      else if (!client.destroyed) client.write(data);
    });
    client.on('end', () => holding || upstream.end());
    client.on('close', () => holding || upstream.destroy());
    upstream.on('end', () => silent.has(client) || client.end());
    upstream.on('close', () => silent.has(client) || client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => sockets.forEach((socket) => socket.destroy());
  (globalThis.atEndOfFile ??= []).unshift(async () => {
    cut();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    strike: (text, fate) => new Promise((done) => strikes.push({ text, fate, done: () => done() })),
    deliver: () => late.splice(0).forEach((send) => send()),
    cut,
    silence: () => sockets.forEach((socket) => silent.add(socket)),
  };
}
