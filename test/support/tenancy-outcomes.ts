import type { TestApp } from './app';
import { withoutClock } from './operations';
import type { Principal } from './tenancy-principals';
import type { Needs } from './tenancy-table';

export type Outcome = 'unauthenticated' | 'forbidden' | 'absent' | 'done';

export interface Ask {
  query: string;
  variables: Record<string, unknown>;
}

/** The answer to an operation, without what only the clock tells apart in its text. */
export async function answerTo(app: TestApp, principal: Principal, { query, variables }: Ask) {
  const response = await fetch(`${app.url}/graphql`, { method: 'POST', headers: { 'content-type': 'application/json', ...principal.headers }, body: JSON.stringify({ query, variables }) });
  const text = await response.text();
  return { status: response.status, text: withoutClock(text), ...(JSON.parse(text) as Pick<Awaited<ReturnType<TestApp['graphql']>>, 'data' | 'errors'>) };
}

/** The first thing that a stream says: that it is open, or why it is not. */
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

/** What comes of a subscription. */
export async function streamOutcomeOf(app: TestApp, principal: Principal, ask: Ask): Promise<Outcome> {
  const { status, text } = await firstWordTo(app, principal, ask);
  if (status === 401) return 'unauthenticated';
  if (text.startsWith(STREAM_IS_OPEN)) return 'done';
  if (text.includes('"code":"FORBIDDEN"')) return 'forbidden';
  if (text.includes('"code":"NOT_FOUND"')) return 'absent';
  throw new Error(`${ask.query} was answered ${status} ${text}`);
}

/** What comes of an operation whose only field is `root`. Throws where an answer tells of a tenant that is not the asker's; `isPublic` is what takes nothing, and may find nothing. */
export async function outcomeOf(app: TestApp, principals: Map<string, Principal>, principal: Principal, ask: Ask, root: string, isPublic = false): Promise<Outcome> {
  const { status, data, errors, text } = await answerTo(app, principal, ask);
  if (status === 401) return 'unauthenticated';
  for (const [name, { tenant }] of principals) {
    if (tenant !== principal.tenant && principal.standing !== 'operator' && text.includes(tenant.ids.ws)) throw new Error(`An answer tells of another tenant, ${name}: ${text}`);
  }
  if (principal.standing === 'outsider' && text.includes('Secret of the visited')) throw new Error(`An answer tells what is not the asker's: ${text}`);
  const codes = errors?.map(({ extensions }) => extensions.code) ?? [];
  if (codes.some((code) => /INTERNAL|VALIDATION|PARSE/.test(code))) throw new Error(`${ask.query} was answered ${text}`);
  if (codes.includes('FORBIDDEN')) return 'forbidden';
  if (codes.includes('NOT_FOUND')) return isPublic ? 'done' : 'absent'; // a link that was made up
  const isAbsent = data?.[root] === null || (Array.isArray(data?.[root]) && data[root].every((item: unknown) => item === null));
  return codes.length === 0 && isAbsent ? 'absent' : 'done';
}

/** What should come of what takes all of `needs`. */
export function expected(principal: Principal, needs: Needs[], isMutationOfOperator = false): Outcome {
  const bringsSecret = 'x-api-key' in principal.headers; // a wrong one is refused for everything, a session that has ended counts as none
  if (needs.includes('nothing')) return bringsSecret && principal.standing === 'unauthenticated' ? 'unauthenticated' : 'done';
  if (principal.standing === 'unauthenticated') return 'unauthenticated';
  if (needs.includes('own')) return principal.hasOtherSession ? 'done' : 'absent';
  if (needs.includes('person')) return principal.userId ? 'done' : 'forbidden';
  if (principal.standing === 'operator' || needs.every((need) => need === 'credential')) return 'done';
  if (isMutationOfOperator) return 'forbidden';
  if (principal.standing === 'outsider') return 'absent';
  return needs.every((need) => need === 'knowledge' || principal.permissions.includes(need)) ? 'done' : 'forbidden';
}

/** How a route that a key reads by a permission answers. */
export function exportStatus({ headers, standing, permissions }: Principal, permission: string): number {
  if (standing === 'unauthenticated' || !('x-api-key' in headers)) return 401; // a cookie counts at /graphql alone
  if (standing === 'outsider') return 404;
  return permissions.includes(permission) ? 200 : 403;
}
