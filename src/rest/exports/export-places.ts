import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Places } from '../../access/places';
import { invalid } from '../../errors';
import { whenAnswered } from '../../lib/answered';
import type { Log } from '../../lib/log';
import type { Reader } from './reader';
import { exportStream, type ExportStream } from './stream';

/** Most exports that a process sends at once. Further ones get 503. */
export const MAX_EXPORTS = 16;
/** Most exports at once for the operator, or for all credentials of a workspace together. */
export const MAX_EXPORTS_EACH = 4;
/** Time for a client to take the last lines when the process stops. Then its connection is closed. */
const LAST_LINES_MS = 1_000;

/** Limits the exports that a process sends at once. Ends an export when its client disconnects or loses the right to read, or on a stop. */
export class ExportPlaces {
  private readonly running = new Set<Readable>();
  private readonly places = new Places({ most: MAX_EXPORTS, each: MAX_EXPORTS_EACH, what: 'exports' });
  private readonly stop = new AbortController();

  constructor(
    rest: FastifyInstance,
    private readonly log: Log,
  ) {
    rest.addHook('preClose', async () => {
      this.stop.abort();
      setTimeout(() => this.running.forEach((stream) => stream.destroy()), LAST_LINES_MS).unref();
    });
  }

  /**
   * Answers with an export. Answers HEAD with its headers only. Throws SERVICE_UNAVAILABLE if too many exports run, and INVALID_REQUEST
   * over HTTP/1.0.
   */
  send(request: FastifyRequest, reply: FastifyReply, reader: Reader, exported: Omit<ExportStream, 'stop'>): FastifyReply {
    requireMarkedEnd(request);
    void reply.header('x-accel-buffering', 'no');
    if (request.method === 'HEAD') return reply.send('');
    const giveBack = this.places.take(reader);
    const hungUp = new AbortController();
    whenAnswered(request.raw, reply.raw, () => hungUp.abort());
    const stop = AbortSignal.any([this.stop.signal, hungUp.signal]);
    const stream = exportStream({ ...exported, stop });
    this.running.add(stream);
    stream.once('close', () => {
      this.running.delete(stream);
      giveBack();
    });
    stream.once('error', (error) => {
      if (error.name !== 'AbortError') this.log.warn({ err: error, requestId: request.requestId }, 'an export failed');
    });
    return reply.send(stream);
  }
}

const HTTP_1_0 =
  'needs HTTP/1.1, because over HTTP/1.0 an incomplete export looks like a complete one. Behind nginx set `proxy_http_version 1.1;`';

/** Refuses HTTP/1.0, because it marks the end of an answer by closing the connection. An export of a killed process would look complete. */
function requireMarkedEnd({ raw }: FastifyRequest): void {
  if (raw.httpVersionMajor === 1 && raw.httpVersionMinor === 0) throw invalid({ path: [], message: HTTP_1_0 });
}
