import { createClient as createSseClient } from 'graphql-sse';
import { createClient as createWsClient } from 'graphql-ws';
import WebSocket from 'ws';
import { ROOT_KEY, type TestApp } from './app';
import { headersOf, type Credential } from './clients';
import { until } from './until';

/** A subscription and the results that it has received so far. */
export interface Followed {
  /** The data of each result so far. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the type of its answer
  events: any[];
  /** The code of the first error of each result that had one. */
  errors: { code: string; message: string }[];
  /** The code and reason of its end; undefined while it is open. */
  ended: { code?: number; reason?: string } | undefined;
  /** Resolves after `count` events. Throws if the stream ends earlier. */
  arrived(count: number): Promise<void>;
  /** Resolves after the server has ended the stream. */
  over(): Promise<void>;
  stop(): void;
}

export interface Follow {
  url: string;
  credential: Credential;
  query: string;
  variables?: Record<string, unknown> | undefined;
  headers?: Record<string, string>;
}

/** Returns a WebSocket class that sends these headers in the handshake. */
export function socketWith(headers: Record<string, string>): typeof WebSocket {
  return class extends WebSocket {
    constructor(address: string, protocols: string | string[]) {
      super(address, protocols, { headers });
    }
  } as unknown as typeof WebSocket;
}

export const socketUrl = (url: string): string => `${url.replace(/^http/, 'ws')}/graphql`;

function newFollowed(stop: () => void): Followed {
  const followed: Followed = {
    events: [],
    errors: [],
    ended: undefined,
    arrived: (count) => until(() => {
      if (followed.ended && followed.events.length < count) {
        throw new Error(`It ended with ${JSON.stringify([followed.ended, followed.errors, followed.events.length])}.`);
      }
      return followed.events.length >= count;
    }, `${count} events`),
    over: () => until(() => followed.ended !== undefined, 'a stream to end'),
    stop,
  };
  return followed;
}

interface Result {
  data?: unknown;
  errors?: readonly { message: string; extensions?: Record<string, unknown> }[];
}

const sinkOf = (followed: Followed) => ({
  next: ({ data, errors }: Result) => {
    if (data) followed.events.push(data);
    for (const { message, extensions } of errors ?? []) followed.errors.push({ code: String(extensions?.code), message });
  },
  error: (error: unknown) => {
    for (const { message, extensions } of Array.isArray(error) ? (error as NonNullable<Result['errors']>) : []) {
      followed.errors.push({ code: String(extensions?.code), message });
    }
    const { code, reason, message } = error as { code?: number; reason?: string; message?: string };
    followed.ended ??= { ...(code !== undefined && { code }), reason: reason ?? message ?? '' };
  },
  complete: () => void (followed.ended ??= {}),
});

/** Follows with the client of graphql-ws, without reconnecting. */
export function followByWebSocket(
  { url, credential, query, variables, headers = {} }: Follow,
  connectionParams?: Record<string, unknown>,
): Followed {
  const client = createWsClient({
    url: socketUrl(url),
    webSocketImpl: socketWith({ ...headersOf(credential), ...headers }),
    retryAttempts: 0,
    ...(connectionParams && { connectionParams }),
  });
  const followed = newFollowed(() => void client.dispose());
  client.subscribe({ query, ...(variables && { variables }) }, sinkOf(followed));
  return followed;
}

/** Follows with the client of graphql-sse, without reconnecting. */
export function followBySse({ url, credential, query, variables, headers = {} }: Follow): Followed {
  const client = createSseClient({ url: `${url}/graphql/stream`, headers: { ...headersOf(credential), ...headers }, retryAttempts: 0 });
  const followed = newFollowed(() => client.dispose());
  client.subscribe({ query, ...(variables && { variables }) }, sinkOf(followed));
  return followed;
}

export const WAYS: [string, (follow: Follow) => Followed][] = [
  ['WebSocket', followByWebSocket],
  ['SSE', followBySse],
];

/** Repeats `deed` until the stream has received an event, because a stream without `after` starts with new events. */
export const untilOpen = (stream: Followed, deed: () => Promise<unknown>) =>
  until(async () => {
    if (stream.ended) throw new Error(`It ended with ${JSON.stringify([stream.ended, stream.errors])}.`);
    await deed();
    return stream.events.length > 0;
  }, 'a stream to tell of something');

/** Two subscriptions to the events of a workspace. */
export const LOGGED = `subscription ($workspaceId: ID!, $filter: RequestLogFilter, $after: String) {
  requestLogged(workspaceId: $workspaceId, filter: $filter, after: $after) {
    cursor requestLog { id action outcome key { name status } project { id } }
  }
}`;
export const BUDGETS = `subscription ($workspaceId: ID!, $filter: BudgetFilter) {
  budgetChanged(workspaceId: $workspaceId, filter: $filter) { project { id name } budget { balance held available } newestEntryId }
}`;

/** The ids of the request logs that a stream of `LOGGED` has received so far. */
export const logIds = (stream: Followed): string[] => stream.events.map(({ requestLogged }) => requestLogged.requestLog.id as string);

/** Follows by one of the WAYS, by default as the operator at `home()`. Adds each stream to `open`; the test must stop these at its end. */
export const following = (follow: (request: Follow) => Followed, open: Followed[], home: () => TestApp) =>
  (query: string, variables: Record<string, unknown>, credential: Credential = ROOT_KEY, node = home()): Followed => {
    const stream = follow({ url: node.url, credential, query, variables });
    open.push(stream);
    return stream;
  };
