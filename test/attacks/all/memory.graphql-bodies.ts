import type { Attack } from '../attack';

const CONNECTIONS = 800;
/** The largest body that GraphQL takes. */
const BODY_BYTES = 1_048_576;

export const graphqlBodies: Attack = {
  name: 'memory.graphql-bodies',
  what: `${CONNECTIONS} connections from one address, without a credential, each sends a body of 1 MiB except the last byte`,
  lastsMs: 5_000,
  run: async (target) => {
    const head = `POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`;
    const body = Buffer.alloc(BODY_BYTES - 1, ' ');
    await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        const socket = await target.connect();
        if (socket.destroyed) return;
        socket.write(head);
        socket.write(body);
      }),
    );
    await target.over();
    return [];
  },
};
