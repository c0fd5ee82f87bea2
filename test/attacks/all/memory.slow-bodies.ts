import { setTimeout as wait } from 'node:timers/promises';
import type { Attack } from '../attack';
import { callHead } from '../call-head';

const CONNECTIONS = 200;
const ANNOUNCED_BYTES = 60_000;
const BYTE_EVERY_MS = 200;

export const slowBodies: Attack = {
  name: 'memory.slow-bodies',
  what: `${CONNECTIONS} connections with made-up keys send their bodies one byte at a time`,
  lastsMs: 4_000,
  run: async (target) => {
    const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => target.connect()));
    for (const socket of sockets) {
      socket.write(callHead(ANNOUNCED_BYTES));
    }
    for (; !target.isOver(); await wait(BYTE_EVERY_MS)) for (const socket of sockets) if (!socket.destroyed) socket.write(' ');
    return [];
  },
};
