import { CREDENTIAL_CODES, failures, type RestCode } from '../openapi/failures';
import { headers } from '../openapi/headers';
import { json, ref, type Operation, type Part } from '../openapi/part';
import { withSecret } from '../openapi/security';

/** Codes that can come after the rate check. Only then does an answer have the headers of the rate limit. */
const AFTER_RATE = ['RATE_LIMITED', 'REQUEST_ID_REUSED', 'PAYMENT_REQUIRED'] as const satisfies RestCode[];
const CODES: RestCode[] = [
  ...AFTER_RATE,
  'INVALID_REQUEST',
  'METHOD_NOT_ALLOWED',
  ...CREDENTIAL_CODES,
  'FORBIDDEN',
  'PROXY_NOT_TRUSTED',
  'NOT_FOUND',
  'UNKNOWN_ACTION',
  'INTERNAL',
  'SERVICE_UNAVAILABLE',
  'OUTCOME_UNKNOWN',
];

const TOLLGATE_HEADERS = {
  'Tollgate-Request-Id': 'The id of the call in the log.',
  'Tollgate-Workspace': 'The workspace of the credential.',
  'Tollgate-Project': 'The project that pays.',
  'Tollgate-Credential': 'The credential.',
  'Tollgate-Environment': '`LIVE` or `TEST`.',
  'Tollgate-Subject': 'The user that the client names. Empty if it names none.',
  'Tollgate-Principal': 'A token that proves the other headers.',
  'Tollgate-Hold': 'The hold that the API settles. Empty if the call is billed already.',
};

const textHeader = (description: string): object => ({ description, schema: { type: 'string' } });

const MAY_PASS = {
  description: 'The request may pass. It is billed, or its credits are held. All headers are there, even if they are empty.',
  headers: {
    ...headers('RateLimit', 'RateLimit-Policy'),
    ...Object.fromEntries(Object.entries(TOLLGATE_HEADERS).map(([name, description]) => [name, textHeader(description)])),
  },
};

const header = (name: string, description: string, required = true): object => ({
  name,
  in: 'header',
  required,
  schema: { type: 'string' },
  description,
});

const COMMON = [
  header('X-Forwarded-For', 'The address of the client.', false),
  header('Tollgate-Attempt', "The proxy's own id of the request. It makes repeated questions about one request one call.", false),
  header('Tollgate-Subject', 'The user that the client names.', false),
  header('X-Project-Id', 'The project of a call with a service account.', false),
];

function question(operationId: string, proxies: string, parameters: object[], refusals: Operation['responses']): { get: Operation } {
  return {
    get: {
      operationId,
      tags: ['Forward auth'],
      summary: `Whether a request that ${proxies} carries may pass`,
      description: 'Any method has the same effect. Only proxies on this machine or in `TRUSTED_PROXIES` may ask.',
      security: withSecret(),
      parameters: [...parameters, ...COMMON],
      responses: { 200: MAY_PASS, ...refusals },
    },
  };
}

const refusals = failures(CODES, AFTER_RATE);

/** nginx knows two statuses of refusals. The status of the table is in a header. */
const refusalToNginx = (description: string) => ({
  description,
  headers: {
    ...headers('Retry-After', 'WWW-Authenticate', 'Allow', 'RateLimit', 'RateLimit-Policy'),
    'Tollgate-Status': { description: 'The HTTP status of the error.', schema: { type: 'integer' } },
    'Tollgate-Code': textHeader('The code of the error.'),
  },
  content: json(ref('Failure')),
});

const METHOD = 'The method of the request.';
const PATH = 'The path and the query of the request, as the client wrote them.';

export const forwardAuth: Part = {
  paths: {
    '/v1/forward-auth/nginx': question(
      'forwardAuthNginx',
      'nginx',
      [
        header('X-Original-Method', METHOD),
        header('X-Original-URI', PATH),
        header('X-Original-Host', 'The host of the request. Without it, `Host` counts.', false),
      ],
      { 401: refusalToNginx('The credential is missing or does not work.'), 403: refusalToNginx('Every other refusal.') },
    ),
    '/v1/forward-auth/forwarded': question(
      'forwardAuthForwarded',
      'Caddy, Traefik or APISIX',
      [
        header('X-Forwarded-Method', METHOD),
        header('X-Forwarded-Host', 'The host of the request.'),
        header('X-Forwarded-Uri', PATH),
      ],
      refusals,
    ),
    '/v1/forward-auth/envoy/{path}': question(
      'forwardAuthEnvoy',
      'Envoy',
      [{ name: 'path', in: 'path', required: true, schema: { type: 'string' }, description: `${PATH} It may have slashes.` }],
      refusals,
    ),
  },
};
