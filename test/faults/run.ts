import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { AdminClient } from './admin-client';
import { runAdmins } from './admins';
import { Chaos, planOf, type Counts } from './chaos';
import type { Evidence, Pulse, Violation } from './evidence';
import { Callers, runLoad } from './load';
import { Random } from './random';
import { freePort } from '../support/free-port';
import { ServerNode, copyProgram, runAudit } from './server';
import { startSite, type Site } from './sites';
import { readHolds, readTables } from './tables';
import { startUpstream, type FakeUpstream } from './upstream';
import { verify } from './verify';
import { ROUTE_HOLD_MS, Ways } from './ways';
import { World, type SecretState } from './world';

/** The same secrets as in the tests' app, so that such an app can open a run's database. */
export const RUN_ROOT_KEY = 'root-key-of-the-tests-0123456789abcdef';
export const RUN_PEPPER = 'pepper-of-the-tests-0123456789abcdefgh';

export interface RunOptions {
  database: 'mysql' | 'sqlite';
  seed: number;
  counts: Counts;
  /** Mean time between two disturbances. */
  meanGapMs: number;
  clients: number;
  thinkMs: number;
  recoveryBoundMs: number;
  /** Ends the remaining holds after all servers have ended. If absent, the run waits until the servers have swept them. */
  finalSweep?(databaseUrl: string): Promise<void>;
  /** Receives lines about the progress. */
  progress?(line: string): void;
  /** Keeps the folder with the data and the servers' logs, and reports its path. */
  keepFolder?: boolean;
}

export interface RunResult {
  evidence: Evidence;
  violations: Violation[];
  done: Counts;
  acts: Record<string, number>;
  failedStarts: number;
  internals: number;
  seconds: number;
  loadSeconds: number;
  /** A few of the INTERNAL answers to administrators. */
  complaints: string[];
}

const PROBE_EVERY_MS = 150;
const MAX_PROBES_WAITING = 30;
const SAMPLE_EVERY_MS = 1_000;
const PROGRESS_EVERY_MS = 5_000;
/** No hold of execute that a server makes now expires later. */
const HOLD_MARGIN_MS = 30_000;
const SWEEP_MS = 5_000;
/** Time for which the load continues after the last disturbance, to see the gate recover. */
const CALM_MS = 3_000;

/** Prepares a run, starts callers, administrators and disturbances, waits until all is settled, and checks the promises. */
export async function runFaults(options: RunOptions): Promise<RunResult> {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-faults-'));
  const run = new Run(options, folder);
  const emergency = () => run.abandon();
  process.once('exit', emergency);
  try {
    return await run.execute();
  } finally {
    await run.close();
    process.off('exit', emergency);
    if (options.keepFolder) options.progress?.(`The servers' logs and the data are in ${folder}.`);
    else rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Run {
  private readonly random: Random;
  private readonly pulses: Pulse[] = [];
  private readonly holdExpiries = new Map<string, number>();
  private readonly heldFaults: Violation[] = [];
  private nodes: ServerNode[] = [];
  private site: Site | undefined;
  private upstream: FakeUpstream | undefined;
  private callers: Callers | undefined;
  private ways: Ways | undefined;
  private admin: AdminClient | undefined;
  private callersStopped = false;
  private over = false;

  constructor(
    private readonly options: RunOptions,
    private readonly folder: string,
  ) {
    this.random = new Random(options.seed);
  }

  async execute(): Promise<RunResult> {
    const beganAt = Date.now();
    const { options, random } = this;
    const program = copyProgram(this.folder);
    mkdirSync(join(this.folder, 'data'));
    this.site = await startSite(options.database, join(this.folder, 'data'), (line) => options.progress?.(line));
    this.nodes = await this.makeNodes(program, this.site);
    this.upstream = await startUpstream(random.fork('upstream'));
    for (const node of this.nodes) await node.start();

    const urls = this.nodes.map(({ url }) => url);
    this.admin = new AdminClient(urls, RUN_ROOT_KEY, () => this.over);
    const world = new World(this.admin);
    await world.build(this.upstream);
    this.callers = new Callers(urls, options.clients + MAX_PROBES_WAITING);
    const stopped = () => this.callersStopped;
    this.ways = await Ways.build({
      admin: this.admin,
      world,
      urls,
      random: random.fork('ways'),
      clients: Math.ceil(options.clients / 3),
      thinkMs: 2 * options.thinkMs,
      lastsLong: !options.finalSweep,
      stopped,
    });
    const { callers, admin, site, ways } = this;

    const startedAt = Date.now();
    const chaos = new Chaos(
      site.victimsOf(this.nodes),
      () => this.over,
      (node, since) => this.healed(node, since),
    );
    const load = runLoad({
      callers,
      world,
      random: random.fork('load'),
      nodes: urls.length,
      clients: options.clients,
      thinkMs: options.thinkMs,
      stopped,
    });
    const administered = runAdmins({
      admin,
      world,
      random: random.fork('admins'),
      nodes: urls.length,
      calls: callers.calls,
      paceMs: 700,
      administrators: 4,
      stopped,
    });
    const otherWays = ways.run();
    const watching = [this.probe(world.liveSecrets('probe')[0] as SecretState, world), this.sample(site), this.report(chaos, startedAt)];
    let acts: Record<string, number> = {};
    try {
      const plan = planOf(options.counts, random.fork('chaos'), urls.length, options.meanGapMs);
      await Promise.race([chaos.run(plan), failureOf(load), failureOf(administered), failureOf(otherWays)]);
      await wait(CALM_MS);
    } finally {
      this.callersStopped = true;
      await Promise.allSettled([load, administered, otherWays]);
    }
    await load;
    await otherWays;
    acts = await administered;
    const loadSeconds = (Date.now() - startedAt) / 1000;
    if (!options.finalSweep) await this.untilSwept(site);
    await this.drain(world);
    const endedAt = Date.now();
    this.over = true;
    await Promise.all(watching);
    for (const node of this.nodes) await node.signal('SIGTERM');
    await options.finalSweep?.(site.databaseUrl);

    const evidence: Evidence = {
      startedAt,
      endedAt,
      calls: callers.calls,
      executions: this.upstream.executions,
      refusedSpans: world.refusedSpans,
      doubts: world.doubts,
      limits: world.limits,
      moves: world.moves,
      disturbances: chaos.disturbances,
      outages: chaos.outages,
      pulses: this.pulses,
      holdExpiries: this.knownExpiries(ways),
      prices: world.prices,
      recoveryBoundMs: options.recoveryBoundMs,
      tables: await readTables(site.databaseUrl),
      ways: ways.evidence,
    };
    options.progress?.('All is settled. Checking the promises.');
    const violations = [
      ...this.heldFaults,
      ...verify(evidence),
      ...this.crashes(),
      ...(await this.audit(program, site)),
      ...this.drained(evidence, world),
    ];
    if (options.keepFolder) this.keep(evidence);
    return {
      evidence,
      violations,
      done: chaos.done,
      acts,
      failedStarts: this.nodes.reduce((sum, node) => sum + node.failedStarts, 0),
      internals: admin.internals.length,
      seconds: (Date.now() - beganAt) / 1000,
      loadSeconds,
      complaints: [...new Set(admin.internals)].slice(0, 5),
    };
  }

  async close(): Promise<void> {
    this.over = true;
    this.callersStopped = true;
    await Promise.all(this.nodes.map((node) => node.close()));
    await this.callers?.close();
    await this.ways?.close();
    await this.admin?.close();
    await this.upstream?.close();
    await this.site?.close();
  }

  /** Cleans up when this process exits early. Servers and databases end with the process; this removes the rest. */
  abandon(): void {
    this.site?.abandon();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private async makeNodes(program: string, site: Site): Promise<ServerNode[]> {
    const nodes: ServerNode[] = [];
    for (const [number, url] of site.nodeUrls.entries()) {
      const env = { DATABASE_URL: url, ROOT_KEY: RUN_ROOT_KEY, KEY_PEPPER: RUN_PEPPER, LOG_LEVEL: 'warn', DEMO: 'false' };
      nodes.push(new ServerNode({ program, port: await freePort(), env, logFile: join(this.folder, `server-${number}.log`) }));
    }
    return nodes;
  }

  /** Calls every server continuously with a key that no administrator changes. The first 200 after a disturbance marks the recovery. */
  private async probe(secret: SecretState, world: World): Promise<void> {
    const action = world.actions[0] as World['actions'][number];
    const { callers } = this;
    if (!callers) return;
    await Promise.all(
      this.nodes.map(async (_, node) => {
        const waiting = new Set<Promise<void>>();
        while (!this.over) {
          if (waiting.size < MAX_PROBES_WAITING) {
            const probe = callers.call(node, { secret, action }).then((call) => {
              waiting.delete(probe);
              if (call.ok) this.pulses.push({ node, at: call.endedAt });
            });
            waiting.add(probe);
          }
          await wait(PROBE_EVERY_MS);
        }
        await Promise.all(waiting);
      }),
    );
  }

  private async healed(node: number | null, since: number): Promise<void> {
    const wanted = node === null ? this.nodes.map((_, number) => number) : [node];
    for (const deadline = Date.now() + this.options.recoveryBoundMs; Date.now() < deadline && !this.over; await wait(25)) {
      const recent = this.pulses.slice(-200);
      if (wanted.every((number) => recent.some((pulse) => pulse.node === number && pulse.at >= since))) return;
    }
  }

  /** Reads the holds directly from the database: notes when each will expire, and checks that `held` is always their sum. */
  private async sample(site: Site): Promise<void> {
    while (!this.over) {
      await wait(SAMPLE_EVERY_MS);
      try {
        const { holds, wrong } = await readHolds(site.databaseUrl);
        for (const { attempt, expiresAt } of holds) this.holdExpiries.set(attempt, expiresAt);
        for (const detail of wrong) this.heldFaults.push({ check: 'held is the sum of the open holds', detail });
      } catch {
        // The database is not reachable. The next sample tries again.
      }
    }
  }

  /** The expiries that were seen, and the later ones that askers were told. A hold whose extension was not answered is left out. */
  private knownExpiries({ evidence }: Ways): Map<string, number> {
    const known = new Map(this.holdExpiries);
    for (const { holdId, what, status, expiresAt } of evidence.ends) {
      if (what !== 'extend') continue;
      if (status === 0 || status >= 500) known.delete(holdId);
      else if (expiresAt !== null && known.has(holdId)) known.set(holdId, Math.max(expiresAt, known.get(holdId) ?? 0));
    }
    return known;
  }

  private async report(chaos: Chaos, startedAt: number): Promise<void> {
    for (let last = Date.now(); !this.over; await wait(100)) {
      if (Date.now() - last < PROGRESS_EVERY_MS) continue;
      last = Date.now();
      const calls = this.callers?.calls ?? [];
      const ok = calls.reduce((sum, call) => sum + Number(call.ok), 0);
      const done = Object.entries(chaos.done).map(([kind, count]) => `${count} ${kind}`);
      this.options.progress?.(`${Math.round((last - startedAt) / 1000)} s: ${calls.length} calls, ${ok} ok; ${done.join(', ')}`);
    }
  }

  /** Waits until the servers have swept the holds of dead processes. The checks report holds that remain after the deadline. */
  private async untilSwept(site: Site): Promise<void> {
    this.options.progress?.('The load is over. Waiting for the last holds to expire.');
    const old = new Set((await readHolds(site.databaseUrl)).holds.map(({ attempt }) => attempt));
    for (const deadline = Date.now() + ROUTE_HOLD_MS + 3 * SWEEP_MS; Date.now() < deadline; await wait(500)) {
      const { holds } = await readHolds(site.databaseUrl);
      const ofOthers = holds.filter(({ attempt, expiresAt }) => old.has(attempt) || expiresAt < Date.now() + HOLD_MARGIN_MS - 1_000);
      if (ofOthers.length === 0) return;
    }
  }

  /** Spends the small budget to its end. Nothing is held any more, so all of it can be spent. */
  private async drain(world: World): Promise<void> {
    const [secret] = world.liveSecrets('scarce');
    const [action] = world.actions;
    const { callers } = this;
    if (!secret || !action || !callers || this.options.finalSweep) return;
    for (let tries = 0; tries < 5_000; tries += 1) {
      const answers = await Promise.all(this.nodes.map((_, node) => callers.call(node, { secret, action })));
      if (answers.every(({ status }) => status === 402)) return;
    }
  }

  private drained({ tables, prices }: Evidence, world: World): Violation[] {
    if (this.options.finalSweep) return []; // credits were held until that sweep, so the budget could not be spent before
    const scarce = world.projects.find(({ role }) => role === 'scarce');
    const balance = tables.accounts.find(({ id }) => id === scarce?.id)?.balance ?? 0;
    const price = prices.get('demo.echo') ?? 0;
    return balance >= price
      ? [{ check: 'a budget can be spent to its end', detail: `${balance} are left, but a call costs ${price}` }]
      : [];
  }

  /** Writes the evidence to files, to investigate a failure. */
  private keep(evidence: Evidence): void {
    for (const [name, value] of Object.entries({ ...evidence, ...evidence.tables })) {
      const rows = value instanceof Map ? [...value] : value;
      if (Array.isArray(rows)) writeFileSync(join(this.folder, `${name}.jsonl`), rows.map((row) => JSON.stringify(row)).join('\n'));
    }
  }

  private crashes(): Violation[] {
    return this.nodes.flatMap(({ crashes }) => crashes.map((detail) => ({ check: 'no server crashes', detail })));
  }

  private async audit(program: string, site: Site): Promise<Violation[]> {
    const { code, output } = await runAudit(program, {
      DATABASE_URL: site.databaseUrl,
      ROOT_KEY: RUN_ROOT_KEY,
      KEY_PEPPER: RUN_PEPPER,
      LOG_LEVEL: 'warn',
    });
    return code === 0 ? [] : [{ check: 'the audit agrees', detail: output }];
  }
}

/** Rejects if `work` rejects. Never resolves. */
async function failureOf(work: Promise<unknown>): Promise<never> {
  await work;
  return new Promise<never>(() => undefined);
}
