import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * The fate of a packet. `lost`: it does not reach the server, and the connection breaks. `unanswered`: it reaches the server, and the
 * connection breaks before the answer arrives. `late`: it reaches the server when the test calls `deliver`, even if the client has given
 * up.
 */
export type Fate = 'lost' | 'unanswered' | 'late';

/** Stands between a client and a database server, and breaks connections at the packet that a test names. */
export interface Proxy {
  port: number;
  /** Gives this fate to the next packet of a client that contains `text`. Resolves when this has happened. */
  strike(text: string, fate: Fate): Promise<void>;
  /** Delivers the late packets. */
  deliver(): void;
  /** Breaks all connections. */
  cut(): void;
  /** Passes on no more data over the present connections, without closing them. */
  silence(): void;
}

/** Starts a proxy in front of `target` (the host and port of a URL). It is closed when the test file has ended. */
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
        muted = true; // the answer of the server ends the connection
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
