import { pipeline } from '../pipeline';
import type { Attack } from '../attack';

const REQUESTS = 60_000;
const BODY = '{"action":"demo.echo"}';
const ORDINARY = 'GET /v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n';
const CALL = `POST /v1/demo/execute HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;

export const pipelines: Attack = {
  name: 'sockets.pipelines',
  what: `${REQUESTS} pipelined requests of two kinds, one after the other, on one connection; the answers are not read`,
  lastsMs: 6_000,
  run: async (target) => {
    for (const request of [ORDINARY, CALL]) if (!target.isOver()) await pipeline(target, request, REQUESTS, { readsAnswers: false });
    return [];
  },
};
