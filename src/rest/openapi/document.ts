import { execute } from '../execute.openapi';
import { auditExport } from '../exports/audit.openapi';
import { tableExports } from '../exports/tables.openapi';
import { forwardAuth } from '../forward-auth/forward-auth.openapi';
import { oauth } from '../oauth.openapi';
import { self } from '../self.openapi';
import { server } from '../server.openapi';
import { verify } from '../verify.openapi';
import { failureExamples, failureSchemas } from './failures';
import { HEADERS, headers } from './headers';
import { TAGS, type Operation, type Part } from './part';
import { SECURITY_SCHEMES } from './security';

/** The parts of the document, in its order. A new route file adds its part here. */
const PARTS: readonly Part[] = [execute, verify, forwardAuth, self, auditExport, tableExports, oauth, server];

const INFO = {
  title: 'Tollgate',
  version: '1',
  description:
    'Run billable actions with an API key. A success is billed exactly once. Nothing else is billed.\n\n' +
    'Later versions add operations, optional parameters, properties of answers and error codes. Clients must accept them.',
  contact: { name: 'The operator of this server' },
};

/** The OpenAPI 3.1 document of the REST routes. `publicUrl` is the URL that clients use, if it is configured. */
export function openApiDocument(publicUrl?: string): object {
  const servers = [
    ...(publicUrl === undefined ? [] : [{ url: publicUrl, description: 'The public URL of this server.' }]),
    { url: '/', description: 'The server that this document comes from.' },
  ];
  return {
    openapi: '3.1.0',
    info: INFO,
    servers,
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths: Object.assign({}, ...PARTS.map(pathsOf)) as object,
    components: {
      securitySchemes: SECURITY_SCHEMES,
      headers: HEADERS,
      examples: failureExamples,
      schemas: Object.assign({}, ...PARTS.map(({ schemas }) => schemas), failureSchemas) as object,
    },
  };
}

function pathsOf({ paths }: Part): object {
  return Object.fromEntries(
    Object.entries(paths).map(([path, methods]) => [
      path,
      Object.fromEntries(Object.entries(methods).map(([method, operation]) => [method, withRequestId(operation)])),
    ]),
  );
}

/** Adds the header that every answer has. */
function withRequestId(operation: Operation): Operation {
  const responses = Object.entries(operation.responses).map(([status, response]) => [
    status,
    { ...response, headers: { ...headers('X-Request-Id'), ...response.headers } },
  ]);
  return { ...operation, responses: Object.fromEntries(responses) as Operation['responses'] };
}
