interface GraphQLProblem {
  message: string;
  path?: (string | number)[];
  extensions: {
    code: string;
    issues?: { path: (string | number)[]; message: string }[];
    limits?: { limit: string; asked: number }[];
  };
}

/** The answer to an operation. */
export interface GraphQLAnswer {
  status: number;
  headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the type of its answer
  data: any;
  errors: GraphQLProblem[] | undefined;
  extensions: { cost?: { requested: number; actual: number; left: number } } | undefined;
}

/** The credential of an operation: a secret, a person's cookie, or null for none. */
export type Credential = string | { cookie: string } | null;

export interface GraphQLClient {
  (query: string, variables?: Record<string, unknown>, credential?: Credential): Promise<GraphQLAnswer>;
}

/** Returns a client that sends operations with `defaultSecret`, or with another credential if given. */
export function graphqlClient(url: string, defaultSecret: string): GraphQLClient {
  return async (query, variables = {}, credential = defaultSecret) => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headersOf(credential) },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors, extensions } = (await response.json()) as Pick<GraphQLAnswer, 'data' | 'errors' | 'extensions'>;
    return { status: response.status, headers: response.headers, data, errors, extensions };
  };
}

/** Returns the headers that send a credential. */
export function headersOf(credential: Credential): Record<string, string> {
  if (credential === null) return {};
  return typeof credential === 'string' ? { 'x-api-key': credential } : { cookie: credential.cookie };
}

/** Returns the session cookie of an answer in the form in which a browser sends it back. */
export function cookieOf({ headers }: { headers: Headers }): { cookie: string } {
  const cookie = headers.getSetCookie().findLast((text) => text.includes('tollgate_session=')) ?? '';
  return { cookie: cookie.split(';', 1)[0] as string };
}

/** The answer to a call. */
export interface RestAnswer {
  status: number;
  headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each test knows the type of its answer
  body: any;
}

export interface RestCall {
  secret?: string;
  service?: string;
  headers?: Record<string, string>;
  /** Properties of the body in addition to an empty `params`. */
  body?: Record<string, unknown>;
  /** Body to send unchanged instead. */
  raw?: string | Buffer;
  method?: string;
}

export interface RestClient {
  (call: RestCall): Promise<RestAnswer>;
}

/** Returns a client for the execute route. By default it calls `demo.echo` of service `demo`. */
export function restClient(url: string): RestClient {
  return async ({ secret, service = 'demo', headers = {}, body = {}, raw, method = 'POST' }) => {
    const response = await fetch(`${url}/v1/${service}/execute`, {
      method,
      headers: { 'content-type': 'application/json', ...(secret === undefined ? {} : { 'x-api-key': secret }), ...headers },
      ...(method === 'GET' ? {} : { body: raw ?? JSON.stringify({ action: 'demo.echo', params: {}, ...body }) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
}
