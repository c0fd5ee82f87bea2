import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { Client, type Answer } from './target';
import type { Tenant } from './world';

// A legitimate tenant in a separate process. So load in the attacking process does not count as slowness of the server.

/** Interval of the calls. A call does not wait for the answers of earlier calls. */
const CALL_EVERY_MS = 20;
/** Each fifth call is a GraphQL query. */
const QUERY_EVERY = 5;
const QUERY = 'query ($id: ID!) { workspace(id: $id) { id name projects(first: 5) { nodes { id name } } } }';
const ADDRESS = '127.0.0.1';

interface Task {
  url: string;
  tenant: Tenant;
}

/** The neighbour's measurements. */
export interface Experience {
  /** For each call, milliseconds from its due time until its answer. */
  tookMs: number[];
  /** Number of failures by kind, for example `execute 503 SERVICE_UNAVAILABLE`. */
  failures: Record<string, number>;
}

/** Controls the process. */
export class Neighbour {
  private constructor(private readonly child: ChildProcess) {}

  static async start(): Promise<Neighbour> {
    const child = fork(__filename, [], { execArgv: ['-r', '@swc-node/register'] });
    process.once('exit', () => child.kill('SIGKILL'));
    await once(child, 'message');
    return new Neighbour(child);
  }

  begin(task: Task): void {
    this.child.send(task);
  }

  /** Discards the measurements so far, because a fresh process is slow at first. */
  forget(): void {
    this.child.send('forget');
  }

  /** Stops calling, waits for the missing answers and returns the measurements. */
  async end(): Promise<Experience> {
    this.child.send('end');
    const [experience] = (await once(this.child, 'message')) as [Experience];
    return experience;
  }

  close(): void {
    this.child.kill('SIGKILL');
  }
}

function serve(): void {
  let stopped = false;
  let experience: Experience = { tookMs: [], failures: {} };
  process.on('message', (message: Task | 'forget' | 'end') => {
    stopped = message === 'end';
    if (message === 'end') return;
    experience = { tookMs: [], failures: {} };
    if (message !== 'forget')
      void live(
        message,
        () => experience,
        () => stopped,
      ).then(() => process.send?.(experience));
  });
  process.send?.('ready');
}

async function live({ url, tenant }: Task, experience: () => Experience, isOver: () => boolean): Promise<void> {
  const client = new Client(url, ADDRESS, 128);
  const open = new Set<Promise<void>>();
  const beganAt = performance.now();
  for (let number = 0; !isOver(); number += 1) {
    const dueAt = beganAt + number * CALL_EVERY_MS;
    await wait(Math.max(0, dueAt - performance.now()));
    const isQuery = number % QUERY_EVERY === 0;
    const sent = isQuery
      ? client.graphql(QUERY, { id: tenant.workspaceId }, { 'x-api-key': tenant.ownerSecret })
      : client.execute(tenant.secret, 'demo', 'demo.echo', { number });
    const call = sent.then((answer) => {
      experience().tookMs.push(performance.now() - dueAt);
      if (answer.status !== 200 || answer.code !== undefined) note(experience(), isQuery ? 'graphql' : 'execute', answer);
      open.delete(call);
    });
    open.add(call);
  }
  await Promise.all(open);
  await client.close();
}

function note({ failures }: Experience, what: string, { status, code }: Answer): void {
  const name = `${what} ${status} ${code ?? ''}`.trim();
  failures[name] = (failures[name] ?? 0) + 1;
}

if (require.main === module) serve();
