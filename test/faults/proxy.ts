import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * What becomes of a COMMIT. `request lost`: it never reaches the database and the connection breaks. `answer lost`: it does, and the
 * connection breaks instead of an answer. `late`: the connection breaks at once, and the database gets the COMMIT later all the same.
 * `stuck`: it waits on its way, and the connection with it.
 */
export type Cut = 'request lost' | 'answer lost' | 'late' | 'stuck';
export const CUTS: readonly Cut[] = ['request lost', 'answer lost', 'late', 'stuck'];

interface Strike {
  cut: Cut;
  lateMs: number;
  struck(): void;
}

/** What stands between one server and the database: it delays, freezes and cuts, most of all at a COMMIT. */
export class DatabaseProxy {
  /** Added to every chunk, in both directions. */
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

  /** The next COMMIT meets this cut; resolves when it has. */
  strike(cut: Cut, lateMs: number): Promise<void> {
    return new Promise((resolve) => this.strikes.push({ cut, lateMs, struck: resolve }));
  }

  /** Takes back what has not struck yet. */
  calm(): void {
    for (const { struck } of this.strikes.splice(0)) struck();
  }

  /** Nothing passes, and nobody is told, until `thaw`. */
  freeze(): void {
    this.isFrozen = true;
  }

  thaw(): void {
    this.isFrozen = false;
    for (const link of this.links) link.flush();
  }

  /** Breaks every connection that there is. */
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

/** A client's connection and its counterpart at the database. Client packets are forwarded whole, for only so can a COMMIT be told. */
class Link {
  private readonly toDatabase: Pipe;
  private readonly toClient: Pipe;
  private rest: Buffer = Buffer.alloc(0);
  /** The client is cut off, and the database is to get one more packet. */
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

  /** False where the connection is no more. */
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
        this.muted = true; // the answer, when it comes, ends the connection
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

/** One direction: in order, after the proxy's delay, and not while it is frozen. */
class Pipe {
  private readonly queue: { data: Buffer | null; dueAt: number }[] = [];
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly proxy: DatabaseProxy,
    private readonly target: Socket,
  ) {}

  /** Null ends it. */
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
