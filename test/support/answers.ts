import type { RestAnswer } from './clients';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The parts in which error answers differ. A missing header is undefined. */
export interface ErrorOf {
  http: number;
  status: string;
  code: string;
  details: Record<string, unknown>;
  challenge: string | undefined;
  retryAfter: string | undefined;
  allow: string | undefined;
}

/** Checks the common form of error answers, including that there are no further members. Returns the parts that differ. */
export function errorOf({ status, headers, body }: RestAnswer): ErrorOf {
  const words = expect.stringMatching(/^[A-Z].+[.]$/s) as string;
  const name = expect.stringMatching(/^[A-Z_]+$/) as string;
  expect(body).toEqual({
    ok: false,
    success: false,
    requestId: expect.stringMatching(UUID) as string,
    error: { status: name, code: name, message: words, details: expect.any(Object) as object },
  });
  expect(headers.get('x-request-id')).toBe(body.requestId);
  expect(headers.get('cache-control')).toBe('no-store');
  expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
  const { error } = body as { error: Pick<ErrorOf, 'status' | 'code' | 'details'> };
  return {
    http: status,
    status: error.status,
    code: error.code,
    details: error.details,
    challenge: headers.get('www-authenticate') ?? undefined,
    retryAfter: headers.get('retry-after') ?? undefined,
    allow: headers.get('allow') ?? undefined,
  };
}

/** Returns the status and code of an error answer, otherwise the status and `ok`, `replay` or the first error code of the action. */
export function outcomeOf({ status, body }: RestAnswer): string {
  if (body?.error) return `${status} ${body.error.code}`;
  if (body?.meta?.idempotencyReplay) return `${status} replay`;
  return `${status} ${body?.ok === true ? 'ok' : String(body?.errors?.[0]?.code)}`;
}
