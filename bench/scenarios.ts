import { randomBytes, randomUUID } from 'node:crypto';
import type { Furniture } from './furniture';
import type { TargetName } from './targets';
import type { PlannedCall } from './wrk';

/** A kind of load. */
export interface Scenario {
  title: string;
  targets: TargetName[];
  connections: number[];
  /** Returns the calls. Absent if the scenario is more than a list of calls, see beside.ts. */
  plan?(furniture: Furniture): PlannedCall[];
  /** Expected share of refused calls, 0 to 1. */
  refused: number;
  /** The status of each refusal. */
  status?: number;
  /** The server whose throughput is 1.00. Absent if it is the bare route. */
  base?: TargetName;
}

const GATES: TargetName[] = ['mariadb', 'sqlite'];
const BARE_AND_GATES: TargetName[] = ['bare', ...GATES];
const PATH = '/v1/demo/execute';
const BODY = JSON.stringify({ action: 'demo.echo', params: { hello: 'world', numbers: [1, 2, 3] } });
const REQUEST_IDS = 1_000;
const GARBAGE_SECRETS = 1_000;

/** Only the bare route reads the query: it tells which answer the gate gives, so that both answer the same. */
const refusedWith = (status: number): string => `${PATH}?answer=${status}`;

const call = (secret: string): PlannedCall => ({ path: PATH, secret, body: BODY });

export const SCENARIOS = {
  hot: {
    title: 'One hot project',
    targets: ['bare', 'mariadb', 'sqlite', 'transaction', 'better-auth'],
    connections: [1, 16, 128, 512],
    plan: ({ hot }) => [call(hot)],
    refused: 0,
  },
  projects: {
    title: '1,000 projects in turns',
    targets: BARE_AND_GATES,
    connections: [128],
    plan: ({ many }) => many.map(call),
    refused: 0,
  },
  half: {
    title: 'Every second call refused by the rate limit',
    targets: BARE_AND_GATES,
    connections: [128],
    plan: ({ hot, exhausted }) => [call(hot), { ...call(exhausted), path: refusedWith(429) }],
    refused: 0.5,
    status: 429,
  },
  refused: {
    title: 'All calls refused by the rate limit',
    targets: BARE_AND_GATES,
    connections: [128, 512],
    plan: ({ exhausted }) => [{ ...call(exhausted), path: refusedWith(429) }],
    refused: 1,
    status: 429,
  },
  garbage: {
    title: 'Garbage keys',
    targets: BARE_AND_GATES,
    connections: [128, 512],
    plan: ({ hot }) => Array.from({ length: GARBAGE_SECRETS }, () => ({ ...call(garbageLike(hot)), path: refusedWith(401) })),
    refused: 1,
    status: 401,
  },
  replays: {
    title: 'Repeated requestIds',
    targets: BARE_AND_GATES,
    connections: [128],
    plan: ({ hot }) => Array.from({ length: REQUEST_IDS }, () => ({ ...call(hot), body: withRequestId() })),
    refused: 0,
  },
  route: {
    title: 'A small JSON call by a route, compared with a bare Fastify proxy',
    targets: ['proxy', 'nginx', ...GATES],
    connections: [1, 128],
    plan: ({ hot }) => [{ ...call(hot), path: '/bench/small' }],
    refused: 0,
    base: 'proxy',
  },
  verify: { title: 'Verifications that charge', targets: GATES, connections: [128], refused: 0 },
  alone: { title: 'One caller alone', targets: GATES, connections: [1], refused: 0 },
  isolation: { title: 'A neighbour in trouble', targets: GATES, connections: [64], refused: 0 },
  full: { title: 'Above the limit of calls in flight', targets: ['mariadb'], connections: [128], refused: 1 },
  streams: { title: 'Streams', targets: ['proxy', ...GATES], connections: [1], refused: 0 },
} satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

/** The scenarios that are only a list of calls. */
export type CallScenario = Exclude<ScenarioName, 'alone' | 'isolation' | 'full' | 'verify' | 'streams'>;

export const isCallScenario = (name: ScenarioName): name is CallScenario => 'plan' in SCENARIOS[name];

/** Returns a secret of the same form with a wrong checksum. */
function garbageLike(secret: string): string {
  const form = secret.slice(0, secret.lastIndexOf('_') + 1);
  return form + randomBytes(19).toString('hex'); // 38 characters; the six of the checksum are right only by a very rare chance
}

function withRequestId(): string {
  return `${BODY.slice(0, -1)},"requestId":"${randomUUID()}"}`;
}
