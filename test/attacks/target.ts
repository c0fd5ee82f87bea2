import { createConnection, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { Agent } from 'undici';
import type { Smtp } from '../support/smtp';
import type { Tenant } from './world';

/** Source address of attackers. The neighbour calls from 127.0.0.1, so limits per address do not affect it. */
export const ATTACKER = '127.0.0.66';

/** An answer that takes longer counts as failed. */
const ANSWER_TIMEOUT_MS = 10_000;

export interface Answer {
  status: number;
  code: string | undefined;
  /** Only in answers of GraphQL. */
  data: Record<string, unknown> | undefined;
  cookies: string[];
  tookMs: number;
}

/** A client of the attacked server that calls from `localAddress`. */
export class Client {
  private readonly agent: Agent;

  constructor(
    private readonly url: string,
    localAddress: string,
    connections = 64,
  ) {
    this.agent = new Agent({
      connections,
      pipelining: 1,
      connect: { localAddress },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
    });
  }

  /** Sends a JSON body. The status is 0 if there is no answer. */
  async post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const sentAt = performance.now();
    try {
      const {
        statusCode,
        headers: got,
        body: stream,
      } = await this.agent.request({
        origin: this.url,
        path,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      });
      const json = (await stream.json()) as {
        data?: Record<string, unknown>;
        errors?: { code?: string; extensions?: { code?: string } }[];
        error?: { code?: string };
      };
      const code = json.error?.code ?? json.errors?.[0]?.extensions?.code ?? json.errors?.[0]?.code;
      return { status: statusCode, code, data: json.data, cookies: [got['set-cookie'] ?? []].flat(), tookMs: performance.now() - sentAt };
    } catch (error) {
      const code = (error as { code?: string }).code ?? String(error);
      return { status: 0, code, data: undefined, cookies: [], tookMs: performance.now() - sentAt };
    }
  }

  graphql(query: string, variables: unknown, headers: Record<string, string>): Promise<Answer> {
    return this.post('/graphql', { query, variables }, headers);
  }

  execute(secret: string, service: string, action: string, params: unknown = {}): Promise<Answer> {
    return this.post(`/v1/${service}/execute`, { action, params }, { authorization: `Bearer ${secret}` });
  }

  close(): Promise<void> {
    return this.agent.destroy();
  }
}

export interface TargetOptions {
  port: number;
  attacker: Tenant;
  neighbour: Tenant;
  smtp: Smtp;
  rootKey: string;
}

/** The attacked server with the tenants and secrets for an attack. `close` closes all connections that it opened. */
export class Target {
  readonly url: string;
  readonly attacker: Tenant;
  readonly neighbour: Tenant;
  readonly smtp: Smtp;
  readonly rootKey: string;
  private readonly port: number;
  private readonly sockets = new Set<Socket>();
  private readonly clients: Client[] = [];
  private endsAt = Infinity;

  constructor({ port, attacker, neighbour, smtp, rootKey }: TargetOptions) {
    this.url = `http://127.0.0.1:${port}`;
    this.port = port;
    this.attacker = attacker;
    this.neighbour = neighbour;
    this.smtp = smtp;
    this.rootKey = rootKey;
  }

  /** Starts the time of an attack. */
  begin(lastsMs: number): void {
    this.endsAt = performance.now() + lastsMs;
  }

  /** Resolves when the attack's time is over. */
  async over(): Promise<'over'> {
    await wait(Math.max(0, this.endsAt - performance.now()));
    return 'over';
  }

  isOver(): boolean {
    return performance.now() >= this.endsAt;
  }

  client(localAddress = ATTACKER, connections?: number): Client {
    const client = new Client(this.url, localAddress, connections);
    this.clients.push(client);
    return client;
  }

  /** Opens a TCP connection and discards all data that it receives. */
  async connect(localAddress = ATTACKER): Promise<Socket> {
    const socket = createConnection({ host: '127.0.0.1', port: this.port, localAddress });
    this.sockets.add(socket);
    socket.on('error', () => undefined); // the server may cut off an attacker
    socket.once('close', () => this.sockets.delete(socket));
    socket.resume();
    await new Promise<void>((resolve) => {
      socket.once('connect', () => resolve());
      socket.once('close', () => resolve());
    });
    return socket;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await Promise.all(this.clients.map((client) => client.close()));
  }
}
