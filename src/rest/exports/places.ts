import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Places } from '../../access/places';
import { invalid } from '../../errors';
import { whenAnswered } from '../../lib/answered';
import type { Log } from '../../lib/log';
import type { Reader } from './reader';
import { exportStream, type ExportStream } from './stream';

/** Exports that one process sends at once; past it: 503. */
export const MAX_EXPORTS = 16;
/** Of these, for the operator, and for all credentials of a workspace together. */
export const MAX_EXPORTS_EACH = 4;
/** How long a reader may take for what it was sent when the process stops; then its connection is cut. */
const LAST_WORDS_MS = 1_000;

/** The exports that a process sends: few at once, and none that outlives its reader, the reader's right, or the process. */
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
      setTimeout(() => this.running.forEach((stream) => stream.destroy()), LAST_WORDS_MS).unref();
    });
  }

  /**
   * Answers with an export, or, to HEAD, with what an export would begin with. SERVICE_UNAVAILABLE where no place is free. INVALID_REQUEST
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
      if (error.name !== 'AbortError') this.log.warn({ err: error, requestId: request.requestId }, 'an export broke off');
    });
    return reply.send(stream);
  }
}

const HTTP_1_0 =
  'an export needs HTTP/1.1: over HTTP/1.0 an export that breaks off looks like a complete one. Behind nginx set `proxy_http_version 1.1;`';

/** HTTP/1.0 marks the end of a stream by the end of the connection, which is also how a killed process ends it. */
function requireMarkedEnd({ raw }: FastifyRequest): void {
  if (raw.httpVersionMajor === 1 && raw.httpVersionMinor === 0) throw invalid({ path: [], message: HTTP_1_0 });
}
