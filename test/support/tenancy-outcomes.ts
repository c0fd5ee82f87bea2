import type { TestApp } from './app';
import { withoutClock } from './operations';
import type { Principal } from './tenancy-principals';
import type { Needs } from './tenancy-table';

export type Outcome = 'unauthenticated' | 'forbidden' | 'absent' | 'done';

export interface Ask {
  query: string;
  variables: Record<string, unknown>;
}

/** The answer to an operation. Its text leaves out the parts that depend on the clock. */
export async function answerTo(app: TestApp, principal: Principal, { query, variables }: Ask) {
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...principal.headers },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  return {
    status: response.status,
    text: withoutClock(text),
    ...(JSON.parse(text) as Pick<Awaited<ReturnType<TestApp['graphql']>>, 'data' | 'errors'>),
  };
}

/** The first message of a stream: that it is open, or the error. */
export async function firstWordTo(app: TestApp, principal: Principal, ask: Ask): Promise<{ status: number; text: string }> {
  const hungUp = new AbortController();
  const response = await fetch(`${app.url}/graphql/stream`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...principal.headers },
    body: JSON.stringify(ask),
    signal: hungUp.signal,
  });
  const { value } = await (response.body as ReadableStream<Uint8Array>).getReader().read();
  hungUp.abort();
  return { status: response.status, text: Buffer.from(value ?? []).toString() };
}

const STREAM_IS_OPEN = ':\n\n';

/** The outcome of a subscription. */
export async function streamOutcomeOf(app: TestApp, principal: Principal, ask: Ask): Promise<Outcome> {
  const { status, text } = await firstWordTo(app, principal, ask);
  if (status === 401) return 'unauthenticated';
  if (text.startsWith(STREAM_IS_OPEN)) return 'done';
  if (text.includes('"code":"FORBIDDEN"')) return 'forbidden';
  if (text.includes('"code":"NOT_FOUND"')) return 'absent';
  throw new Error(`${ask.query} was answered ${status} ${text}`);
}

/**
 * The outcome of an operation with the only field `root`. Throws if the answer contains data of another tenant. A field that `isPublic`
 * needs no credential, and may answer NOT_FOUND.
 */
export async function outcomeOf(
  app: TestApp,
  principals: Map<string, Principal>,
  principal: Principal,
  ask: Ask,
  root: string,
  isPublic = false,
): Promise<Outcome> {
  const { status, data, errors, text } = await answerTo(app, principal, ask);
  if (status === 401) return 'unauthenticated';
  for (const [name, { tenant }] of principals) {
    if (tenant !== principal.tenant && principal.standing !== 'operator' && text.includes(tenant.ids.ws))
      throw new Error(`An answer contains data of another tenant, ${name}: ${text}`);
  }
  if (principal.standing === 'outsider' && text.includes('Secret of the visited'))
    throw new Error(`An answer contains data that the caller may not see: ${text}`);
  const codes = errors?.map(({ extensions }) => extensions.code) ?? [];
  if (codes.some((code) => /INTERNAL|VALIDATION|PARSE/.test(code))) throw new Error(`${ask.query} was answered ${text}`);
  if (codes.includes('FORBIDDEN')) return 'forbidden';
  if (codes.includes('NOT_FOUND')) return isPublic ? 'done' : 'absent'; // the test made the link up
  const isAbsent = data?.[root] === null || (Array.isArray(data?.[root]) && data[root].every((item: unknown) => item === null));
  return codes.length === 0 && isAbsent ? 'absent' : 'done';
}

/** The outcome that an operation with these needs must have. */
export function expected(principal: Principal, needs: Needs[], isMutationOfOperator = false): Outcome {
  const bringsSecret = 'x-api-key' in principal.headers; // an invalid secret is always refused, the cookie of an ended session is ignored
  if (needs.includes('nothing')) return bringsSecret && principal.standing === 'unauthenticated' ? 'unauthenticated' : 'done';
  if (principal.standing === 'unauthenticated') return 'unauthenticated';
  if (needs.includes('own')) return principal.hasOtherSession ? 'done' : 'absent';
  if (needs.includes('own or read.members')) return principal.hasOtherSession ? 'done' : expected(principal, ['read.members']);
  if (needs.includes('person')) return principal.userId ? 'done' : 'forbidden';
  if (principal.standing === 'operator' || needs.every((need) => need === 'credential')) return 'done';
  if (isMutationOfOperator) return 'forbidden';
  if (principal.standing === 'outsider') return 'absent';
  return needs.every((need) => need === 'knowledge' || principal.permissions.includes(need)) ? 'done' : 'forbidden';
}

/** The status of a REST route that needs a key with this permission. */
export function exportStatus({ headers, standing, permissions }: Principal, permission: string): number {
  if (standing === 'unauthenticated' || !('x-api-key' in headers)) return 401; // a cookie works only at /graphql
  if (standing === 'outsider') return 404;
  return permissions.includes(permission) ? 200 : 403;
}

/** The statuses that a route for askers may answer. `found` is the status for an asker, who asks about nothing that exists. */
export function askerStatuses({ headers, standing, permissions }: Principal, found: number): number[] {
  if (standing === 'unauthenticated' || !('x-api-key' in headers)) return [401];
  if (standing === 'operator') return [found];
  if (standing === 'outsider') return [found, 403]; // an asker of its own workspace, or an ordinary key
  return [permissions.includes('verify.keys') ? found : 403];
}
