/** What an operation came back with. */
export interface GraphQLAnswer {
  status: number;
  headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test knows what it asked for
  data: any;
  errors: { message: string; path?: (string | number)[]; extensions: { code: string; issues?: { path: (string | number)[]; message: string }[]; limits?: { limit: string; asked: number }[] } }[] | undefined;
  extensions: { cost?: { requested: number; actual: number; left: number } } | undefined;
}

/** What an operation is sent with: a secret, a person's cookie, or null for nothing. */
export type Credential = string | { cookie: string } | null;

export interface GraphQLClient {
  (query: string, variables?: Record<string, unknown>, credential?: Credential): Promise<GraphQLAnswer>;
}

/** Sends operations with `defaultSecret`, unless another credential, or null for none, is given. */
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

/** What a credential is sent as. */
export function headersOf(credential: Credential): Record<string, string> {
  if (credential === null) return {};
  return typeof credential === 'string' ? { 'x-api-key': credential } : { cookie: credential.cookie };
}

/** The cookie of the session that an answer begins, as a browser sends it back. */
export function cookieOf({ headers }: { headers: Headers }): { cookie: string } {
  const cookie = headers.getSetCookie().findLast((one) => one.includes('tollgate_session=')) ?? '';
  return { cookie: cookie.split(';', 1)[0] as string };
}

/** What a call came back with. */
export interface RestAnswer {
  status: number;
  headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test knows what it asked for
  body: any;
}

export interface RestCall {
  secret?: string;
  service?: string;
  headers?: Record<string, string>;
  /** The body's properties beside an empty `params`; `raw` sends text as it is. */
  body?: Record<string, unknown>;
  raw?: string | Buffer;
  method?: string;
}

export interface RestClient {
  (call: RestCall): Promise<RestAnswer>;
}

/** Calls the execute route: `demo.echo` of service `demo`, unless told otherwise. */
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
