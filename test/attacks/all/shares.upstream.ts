import { setTimeout as wait } from 'node:timers/promises';
import type { Attack } from '../attack';
import { MAX_NEIGHBOUR_MS } from '../report';
import type { Client, Target } from '../target';
import { SHARED_ACTION } from '../world';

/** More than twice the number of calls that one upstream gets at once. */
const SLOW_AT_ONCE = 600;
const SLOW_MS = 1_000;
const FAST_EVERY_MS = 100;
/** Time until all slow calls have started. */
const HEAD_START_MS = 500;

export const sharedUpstream: Attack = {
  name: 'shares.upstream',
  what: `${SLOW_AT_ONCE} calls at once of one project, of 1 s each; another tenant makes fast calls to the same upstream`,
  lastsMs: 5_000,
  run: async (target) => {
    const client = target.client(undefined, SLOW_AT_ONCE);
    const slow = Array.from({ length: SLOW_AT_ONCE }, () => callSlowly(target, client));
    await wait(HEAD_START_MS);
    const broken = await callFast(target);
    await Promise.all(slow);
    return broken;
  },
};

async function callSlowly(target: Target, client: Client): Promise<void> {
  while (!target.isOver()) await client.execute(target.attacker.secret, SHARED_ACTION.service, SHARED_ACTION.name, { waitMs: SLOW_MS });
}

async function callFast(target: Target): Promise<string[]> {
  const client = target.client('127.0.0.1');
  const refusals = new Set<string>();
  let slowestMs = 0;
  const open = new Set<Promise<void>>();
  for (; !target.isOver(); await wait(FAST_EVERY_MS)) {
    const call = client
      .execute(target.neighbour.secret, SHARED_ACTION.service, SHARED_ACTION.name)
      .then(({ status, code = '', tookMs }) => {
        slowestMs = Math.max(slowestMs, tookMs);
        if (status !== 200) refusals.add(`a fast call to the same upstream was answered ${status} ${code}`);
        open.delete(call);
      });
    open.add(call);
  }
  await Promise.all(open);
  if (slowestMs > MAX_NEIGHBOUR_MS)
    refusals.add(`a fast call to the same upstream took ${Math.round(slowestMs)} ms, at most ${MAX_NEIGHBOUR_MS}`);
  return [...refusals];
}
