import { pipeline } from '../pipeline';
import type { Attack } from '../attack';

const REQUESTS = 60_000;
const CONNECTIONS = 3;
/** The headers of a client that offers HTTP/2. */
const REQUEST =
  'GET /v1/nothing HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n' +
  'Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n';

export const upgrades: Attack = {
  name: 'sockets.upgrades',
  what: `${REQUESTS} pipelined requests with an Upgrade header on one connection, then a close; ${CONNECTIONS} times`,
  lastsMs: 6_000,
  run: async (target) => {
    for (let number = 0; number < CONNECTIONS && !target.isOver(); number += 1) await pipeline(target, REQUEST, REQUESTS);
    return [];
  },
};
