import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TollgateError } from '../../errors';
import { whenAnswered } from '../../lib/answered';
import type { Log } from '../../lib/log';
import type { Reader } from './reader';
import { exportStream, type ExportStream } from './stream';

/** Exports that one process sends at once; past it: 503. */
export const MAX_EXPORTS = 16;
/** Of these, for each principal, so that no tenant locks others out; all keys of a workspace are one, or minting more would get around it. */
export const MAX_EXPORTS_PER_PRINCIPAL = 4;
/** How long a reader may take for what it was sent when the process stops; then its connection is cut. */
const LAST_WORDS_MS = 1_000;

/** The exports that a process sends: few at once, and none that outlives its reader, the reader's right, or the process. */
export class ExportPlaces {
  private readonly running = new Map<Readable, string>(); // and whose it is
  private readonly stop = new AbortController();

  constructor(
    rest: FastifyInstance,
    private readonly log: Log,
  ) {
    rest.addHook('preClose', async () => {
      this.stop.abort();
      setTimeout(() => [...this.running.keys()].forEach((stream) => stream.destroy()), LAST_WORDS_MS).unref();
    });
  }

  /** Answers with an export, or, to HEAD, with what an export would begin with. SERVICE_UNAVAILABLE where no place is free. */
  send(request: FastifyRequest, reply: FastifyReply, reader: Reader, exported: Omit<ExportStream, 'stop'>): FastifyReply {
    void reply.header('x-accel-buffering', 'no');
    if (request.method === 'HEAD') return reply.send('');
    const readerId = reader.kind === 'OPERATOR' ? reader.id : reader.workspaceId;
    if (this.running.size >= MAX_EXPORTS) throw new TollgateError('SERVICE_UNAVAILABLE', 'Too many exports are running; try again later.');
    if ([...this.running.values()].filter((other) => other === readerId).length >= MAX_EXPORTS_PER_PRINCIPAL) {
      throw new TollgateError('SERVICE_UNAVAILABLE', 'Too many exports of yours are running; end one, or try again later.');
    }
    const hungUp = new AbortController();
    whenAnswered(request.raw, reply.raw, () => hungUp.abort());
    const stop = AbortSignal.any([this.stop.signal, hungUp.signal]);
    const stream = exportStream({ ...exported, stop });
    this.running.set(stream, readerId);
    stream.once('close', () => this.running.delete(stream));
    stream.once('error', (error) => {
      if (error.name !== 'AbortError') this.log.warn({ err: error, requestId: request.requestId }, 'an export broke off');
    });
    return reply.send(stream);
  }
}
