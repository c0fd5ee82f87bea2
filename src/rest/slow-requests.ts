import type { Duplex } from 'node:stream';

/** Connections with a request that may take longer to arrive than others: its body streams to an upstream. */
export const slowRequests = new WeakSet<Duplex>();
