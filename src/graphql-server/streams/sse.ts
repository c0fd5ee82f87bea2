import { setMaxListeners } from 'node:events';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify';
import type { ExecutionResult } from 'graphql';
import { print } from 'graphql-sse';
import { z } from 'zod';
import { TollgateError, invalid, validate } from '../../errors';
import { whenAnswered } from '../../lib/answered';
import type { GraphQLContext } from '../../graphql/context';
import { Connection } from './connection';
import { prepare, type StreamRequest } from './document';
import { GOODBYE_MS, type StreamServices } from './services';
import { asGraphQLError } from './stream';

/** Time without events after which a heartbeat is sent. Otherwise a proxy may close the connection. */
const QUIET_MS = 12_000;
/** A comment, which readers ignore. */
const HEARTBEAT = ':\n\n';

const NOT_ACCEPTED = 'Send the header Accept: text/event-stream, or send queries and mutations to POST /graphql.';

type Results = AsyncIterator<ExecutionResult> | ExecutionResult;

/** Serves `/graphql/stream`: one subscription per request, as server-sent events (mode "distinct connections" of graphql-sse). */
export function registerSse(app: FastifyInstance, { services, body }: { services: StreamServices; body: RouteShorthandOptions }): void {
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal); // each stream adds a listener
  app.addHook('preClose', async () => stopping.abort());

  const answer = async (request: FastifyRequest, reply: FastifyReply, asked: StreamRequest): Promise<FastifyReply> => {
    if (!/\btext\/event-stream\b/.test(request.headers.accept ?? '')) throw invalid({ path: [], message: NOT_ACCEPTED });
    const viewer = await services.recognise(request);
    const giveBack = services.connections.take(viewer.caller);
    const { raw } = reply;
    const cut = new AbortController();
    const deps = { ...services, again: (before: GraphQLContext) => services.again(before, request) };
    const connection = new Connection(viewer, deps, { lost: (error) => end(error), stalled: () => cut.abort() });
    const end = (reason: unknown) => {
      connection.endAll(reason);
      setTimeout(() => cut.abort(), GOODBYE_MS).unref();
    };
    const stop = () => end(new TollgateError('SERVICE_UNAVAILABLE', 'The server is stopping. Connect again with your last cursor.'));
    stopping.signal.addEventListener('abort', stop);
    const close = () => {
      stopping.signal.removeEventListener('abort', stop);
      connection.close();
      giveBack();
    };
    cut.signal.addEventListener('abort', () => raw.destroy());
    whenAnswered(request.raw, raw, close);

    const results = await resultsOf(connection, asked, services);
    if (stopping.signal.aborted) stop();
    // Otherwise the connection would stay open after its stream, and a stopping server would wait for it
    void reply.header('connection', 'close');
    void reply.header('content-type', 'text/event-stream; charset=utf-8');
    void reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no');
    return reply.send(Readable.from(frames(results, services)));
  };
  app.get('/graphql/stream', (request, reply) => answer(request, reply, requestIn(request.query as Record<string, unknown>)));
  app.post('/graphql/stream', body, (request, reply) => answer(request, reply, validate(streamRequest, request.body)));
}

const streamRequest = z.object({
  query: z.string('must be a GraphQL document'),
  operationName: z.string('must be text').nullish(),
  variables: z.record(z.string(), z.unknown(), 'must be an object').nullish(),
  extensions: z.record(z.string(), z.unknown(), 'must be an object').nullish(),
});

function requestIn(query: Record<string, unknown>): StreamRequest {
  return validate(streamRequest, { ...query, variables: jsonIn(query, 'variables'), extensions: jsonIn(query, 'extensions') });
}

function jsonIn(query: Record<string, unknown>, name: string): unknown {
  const { [name]: value } = query;
  try {
    return typeof value === 'string' ? JSON.parse(value) : value;
  } catch {
    throw invalid({ path: [name], message: 'is not JSON' });
  }
}

async function resultsOf(connection: Connection, asked: StreamRequest, { schema, rules }: StreamServices): Promise<Results> {
  const args = await prepare(schema, asked, rules, connection.asker);
  if (!('document' in args)) return { errors: args };
  try {
    return await connection.open(args);
  } catch (error) {
    return { errors: [asGraphQLError(error)] };
  }
}

/** Formats one result or a stream of results as events of graphql-sse. */
async function* frames(results: Results, { tell }: StreamServices): AsyncGenerator<string> {
  const frame = ({ errors, ...result }: ExecutionResult) =>
    print({ event: 'next', data: { ...result, ...(errors && { errors: errors.map(tell) }) } as never });
  const complete = print({ event: 'complete', data: null });
  if (!('next' in results)) {
    yield frame(results) + complete;
    return;
  }
  try {
    yield HEARTBEAT; // sends the headers at once
    for (let next = results.next(); ; ) {
      const awake = new AbortController();
      const silence = wait(QUIET_MS, undefined, { signal: awake.signal }).catch(() => undefined);
      const first = await Promise.race([next, silence]);
      awake.abort();
      if (!first) {
        yield HEARTBEAT;
        continue;
      }
      if (first.done) break;
      yield frame(first.value);
      next = results.next();
    }
    yield complete;
  } finally {
    await results.return?.();
  }
}
