// The headers of answers. The document declares each once.

const header = (description: string, example: string | number) => ({
  description,
  schema: { type: typeof example === 'number' ? 'integer' : 'string' },
  example,
});

export const HEADERS = {
  'X-Request-Id': header(
    'The `requestId` of the call. Report it to the operator if something goes wrong.',
    '019abf2e-6f2c-7cc3-98c4-dc0c0c07398f',
  ),
  RateLimit: header('Number of calls that would be allowed now, and seconds until one more would be.', '"project";r=1999;t=1'),
  'RateLimit-Policy': header(
    "The project's rate limit, in the syntax of draft-ietf-httpapi-ratelimit-headers-10.",
    '"project";q=2000;w=2',
  ),
  'Retry-After': header('Whole seconds to wait before the next try, at least 1.', 1),
  'WWW-Authenticate': header(
    'The challenge of RFC 6750, with the fault of the credential.',
    'Bearer realm="tollgate", error="invalid_token"',
  ),
  Allow: header('The methods that the route supports.', 'POST'),
  'Content-Disposition': header('Name of the file.', 'attachment; filename="keys-20261121T093000Z.csv"'),
} as const;

/** Refers to headers of the document. */
export const headers = (...names: (keyof typeof HEADERS)[]): Record<string, object> =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
