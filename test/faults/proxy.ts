import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * A fault at a COMMIT.
 * `request lost`: the COMMIT never reaches the database, and the connection breaks.
 * `answer lost`: the COMMIT reaches the database, and the connection breaks before the answer.
 * `late`: the connection breaks at once, but the database still gets the COMMIT later.
 * `stuck`: the COMMIT is delayed, and the connection with it.
 */
export type Cut = 'request lost' | 'answer lost' | 'late' | 'stuck';
export const CUTS: readonly Cut[] = ['request lost', 'answer lost', 'late', 'stuck'];

interface Strike {
  cut: Cut;
  lateMs: number;
  struck(): void;
}

/** A proxy between one server and the database. It delays, freezes and cuts connections, mainly at a COMMIT. */
export class DatabaseProxy {
  /** Delay of every chunk, in both directions. */
  delayMs = 0;
  private isFrozen = false;
  private readonly links = new Set<Link>();
  private readonly strikes: Strike[] = [];

  private constructor(
    private readonly server: Server,
    private readonly targetPort: number,
  ) {}

  static async start(targetPort: number): Promise<DatabaseProxy> {
    const server = createServer({ allowHalfOpen: true });
    const proxy = new DatabaseProxy(server, targetPort);
    server.on('connection', (client) => proxy.accept(client));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get frozen(): boolean {
    return this.isFrozen;
  }

  /** Cuts the next COMMIT. Resolves when that has happened, or when `calm` was called. */
  strike(cut: Cut, lateMs: number): Promise<void> {
    return new Promise((resolve) => this.strikes.push({ cut, lateMs, struck: resolve }));
  }

  /** Cancels all cuts that have not happened yet. */
  calm(): void {
    for (const { struck } of this.strikes.splice(0)) struck();
  }

  /** Lets nothing pass, without breaking connections, until `thaw`. */
  freeze(): void {
    this.isFrozen = true;
  }

  thaw(): void {
    this.isFrozen = false;
    for (const link of this.links) link.flush();
  }

  /** Breaks all open connections. */
  cutAll(): void {
    for (const link of this.links) link.destroy();
  }

  takeStrike(): Strike | undefined {
    return this.strikes.shift();
  }

  async close(): Promise<void> {
    this.cutAll();
    this.server.close();
    await once(this.server, 'close');
  }

  private accept(client: Socket): void {
    const database = connect({ host: '127.0.0.1', port: this.targetPort, allowHalfOpen: true });
    const link = new Link(this, client, database);
    this.links.add(link);
    client.once('close', () => this.links.delete(link));
  }
}

/** A client's connection and its counterpart to the database. It forwards whole client packets, because only so it can find a COMMIT. */
class Link {
  private readonly toDatabase: Pipe;
  private readonly toClient: Pipe;
  private rest: Buffer = Buffer.alloc(0);
  /** True once the client is cut off while the database still gets one more packet. */
  private detached = false;
  private muted = false;

  constructor(
    private readonly proxy: DatabaseProxy,
    private readonly client: Socket,
    private readonly database: Socket,
  ) {
    this.toDatabase = new Pipe(proxy, database);
    this.toClient = new Pipe(proxy, client);
    for (const socket of [client, database]) socket.setNoDelay(true).on('error', () => undefined);
    client.on('data', (data) => this.fromClient(data));
    client.on('end', () => this.detached || this.toDatabase.push(null));
    client.on('close', () => this.detached || this.database.destroy());
    database.on('data', (data) => (this.muted ? this.destroy() : this.toClient.push(data)));
    database.on('end', () => this.toClient.push(null));
    database.on('close', () => this.proxy.frozen || this.client.destroy());
  }

  flush(): void {
    this.toDatabase.flush();
    this.toClient.flush();
    if (this.database.destroyed) this.client.destroy();
  }

  destroy(): void {
    this.client.destroy();
    this.database.destroy();
  }

  private fromClient(data: Buffer): void {
    if (this.detached) return;
    this.rest = this.rest.length === 0 ? data : Buffer.concat([this.rest, data]);
    while (this.rest.length >= 4) {
      const end = 4 + this.rest.readUIntLE(0, 3);
      if (this.rest.length < end) return;
      const packet = this.rest.subarray(0, end);
      this.rest = this.rest.subarray(end);
      if (!this.pass(packet)) return;
    }
  }

  /** Forwards a packet. Returns false if the connection has ended. */
  private pass(packet: Buffer): boolean {
    const isCommit = packet.length > 10 && packet.toString('latin1', packet.length - 6) === 'COMMIT';
    const strike = isCommit ? this.proxy.takeStrike() : undefined;
    if (!strike) {
      this.toDatabase.push(packet);
      return true;
    }
    strike.struck();
    switch (strike.cut) {
      case 'request lost':
        this.destroy();
        return false;
      case 'answer lost':
        this.muted = true; // the connection breaks when the answer arrives
        this.toDatabase.push(packet);
        return true;
      case 'late':
        this.detached = true;
        this.client.destroy();
        setTimeout(() => this.database.end(packet), strike.lateMs);
        return false;
      case 'stuck':
        setTimeout(() => this.toDatabase.push(packet), strike.lateMs);
        return true;
    }
  }
}

/** One direction of a link. It keeps the order, adds the proxy's delay, and waits while the proxy is frozen. */
class Pipe {
  private readonly queue: { data: Buffer | null; dueAt: number }[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly proxy: DatabaseProxy,
    private readonly target: Socket,
  ) {}

  /** Sends data; null ends the direction. */
  push(data: Buffer | null): void {
    if (this.queue.length === 0 && this.proxy.delayMs === 0 && !this.proxy.frozen) {
      this.send(data);
      return;
    }
    this.queue.push({ data, dueAt: performance.now() + this.proxy.delayMs });
    this.flush();
  }

  flush(): void {
    clearTimeout(this.timer);
    for (let next = this.queue[0]; next && !this.proxy.frozen; next = this.queue[0]) {
      const waitMs = next.dueAt - performance.now();
      if (waitMs > 0) {
        this.timer = setTimeout(() => this.flush(), waitMs);
        return;
      }
      this.queue.shift();
      this.send(next.data);
    }
  }

  private send(data: Buffer | null): void {
    if (this.target.destroyed) return;
    if (data) this.target.write(data);
    else this.target.end();
  }
}
