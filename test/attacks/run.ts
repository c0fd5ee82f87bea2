import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startSmtp } from '../support/smtp';
import type { Attack } from './attack';
import { Neighbour } from './neighbour';
import { measure, type Measured } from './report';
import { makeServer, type AttackedServer } from './server';
import { Target, type TargetOptions } from './target';
import { startUpstream } from './upstream';
import { buildWorld } from './world';

const ROOT_KEY = 'root-key-of-the-attacks-0123456789abcdef';
const PEPPER = 'pepper-of-the-attacks-0123456789abcdefgh';

export interface RunOptions {
  database: 'mysql' | 'sqlite';
  attacks: Attack[];
  progress(line: string): void;
}

const CALM_MS = 5_000;
/** Time for which the neighbour calls before an attack, because a fresh process is slow at first. */
const WARM_UP_MS = 1_500;
/** Time for which the neighbour calls after the attack, and again after its connections were closed: both may slow the server. */
const AFTERMATH_MS = 1_000;
/** Samples from this time before the attack are the baseline for the growth of memory. */
const SAMPLES_BEFORE_MS = 120;

const CALM: Attack = {
  name: 'calm',
  what: 'no attack: the baseline',
  lastsMs: CALM_MS,
  run: async () => {
    await wait(CALM_MS);
    return [];
  },
};

/** Makes all attacks one after the other, each on a fresh process. The first result is the calm baseline. */
export async function runAttacks({ database, attacks, progress }: RunOptions): Promise<Measured[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-attacks-'));
  const closing: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }), closeSupport];
  const abandon = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  process.once('exit', abandon);
  try {
    const smtp = await startSmtp();
    const upstream = await startUpstream();
    closing.push(() => upstream.close());
    const env = { ROOT_KEY, KEY_PEPPER: PEPPER, SMTP_URL: smtp.mail.smtpUrl, MAIL_FROM: smtp.mail.from };
    const server = await makeServer({ database, folder, env });
    closing.push(() => server.close());
    const neighbour = await Neighbour.start();
    closing.push(() => neighbour.close());
    await server.restart();
    const tenants = await buildWorld(server.url, ROOT_KEY, upstream.url);
    const measured: Measured[] = [];
    for (const attack of [CALM, ...attacks]) {
      progress(`${attack.name}: ${attack.what}`);
      await server.restart();
      measured.push(await round(attack, server, neighbour, { ...tenants, port: server.port, smtp, rootKey: ROOT_KEY }));
    }
    return measured;
  } finally {
    for (const close of closing.reverse()) await close();
    process.off('exit', abandon);
  }
}

async function round(attack: Attack, server: AttackedServer, neighbour: Neighbour, options: TargetOptions): Promise<Measured> {
  const target = new Target(options);
  neighbour.begin({ url: server.url, tenant: options.neighbour });
  try {
    await wait(WARM_UP_MS);
    neighbour.forget();
    const beganAt = Date.now();
    target.begin(attack.lastsMs);
    const broken = await attack.run(target);
    const seconds = (Date.now() - beganAt) / 1000;
    await wait(AFTERMATH_MS);
    await target.close();
    await wait(AFTERMATH_MS);
    const experience = await neighbour.end();
    const { name, what } = attack;
    return measure({
      name,
      what,
      seconds,
      samples: server.samplesSince(beganAt - SAMPLES_BEFORE_MS),
      experience,
      broken: [...broken, ...server.crashes()],
    });
  } finally {
    await target.close();
  }
}

/** Runs the clean-ups that the test helpers have registered for the end of a test file. */
async function closeSupport(): Promise<void> {
  for (const end of globalThis.atEndOfFile ?? []) await end();
}
