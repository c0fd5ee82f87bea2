import { setTimeout as wait } from 'node:timers/promises';
import type { Attack } from '../attack';
import { callHead } from '../call-head';

const CONNECTIONS = 72;
const ADDRESSES = 9;
/** One address may have eight such bodies. 64 of them use up all memory for bodies. */
const ANNOUNCED_BYTES = 8_388_608;
const VALID_BODY_LENGTH = 200_000;
const VALID_EVERY_MS = 200;

export const announcedBodies: Attack = {
  name: 'memory.announced-bodies',
  what: `${CONNECTIONS} idle connections from ${ADDRESSES} addresses, with made-up keys, announce 8 MiB each; a valid call has 200 KB`,
  lastsMs: 4_000,
  run: async (target) => {
    for (let number = 0; number < CONNECTIONS; number += 1) {
      const socket = await target.connect(`127.0.0.${2 + (number % ADDRESSES)}`);
      socket.write(`${callHead(ANNOUNCED_BYTES)}{`);
    }
    const client = target.client('127.0.0.1');
    const outcomes = new Map<string, number>();
    for (; !target.isOver(); await wait(VALID_EVERY_MS)) {
      const { status, code = '' } = await client.execute(target.neighbour.secret, 'demo', 'demo.echo', {
        text: 'x'.repeat(VALID_BODY_LENGTH),
      });
      if (status !== 200) outcomes.set(`${status} ${code}`, (outcomes.get(`${status} ${code}`) ?? 0) + 1);
    }
    return [...outcomes].map(([outcome, count]) => `a valid caller with a body of 200 KB was answered ${outcome}, ${count} times`);
  },
};
