import { z } from 'zod';
import { failures } from './openapi/failures';
import { json, ref, schemasOf, type Part } from './openapi/part';
import { PUBLIC } from './openapi/security';

const healthy = z.object({ ok: z.literal(true) }).meta({ id: 'Healthy' });

const yes = (description: string) => ({ description, content: json(ref('Healthy'), { example: { ok: true } }) });
/** Any request may be invalid HTTP, or come while the process stops. */
const anyFailure = failures(['INVALID_REQUEST', 'SERVICE_UNAVAILABLE']);

export const server: Part = {
  paths: {
    '/healthz': {
      get: {
        operationId: 'health',
        tags: ['Server'],
        summary: 'Liveness of the process',
        description: 'For the liveness probe of an orchestrator. It does not use the database.',
        security: PUBLIC,
        responses: { 200: yes('The process runs.'), ...anyFailure },
      },
    },
    '/readyz': {
      get: {
        operationId: 'readiness',
        tags: ['Server'],
        summary: 'Readiness: whether the process can reach its database and write to it',
        description: 'For the readiness probe of an orchestrator or a load balancer.',
        security: PUBLIC,
        responses: { 200: yes('Ready.'), ...anyFailure },
      },
    },
    '/.well-known/tollgate/jwks.json': {
      get: {
        operationId: 'principalKeys',
        tags: ['Server'],
        summary: 'The public keys of the tokens that name callers to upstreams',
        description: 'A JSON Web Key Set (RFC 7517). An upstream checks the header `Tollgate-Principal` with it.',
        security: PUBLIC,
        responses: {
          200: {
            description: 'The keys.',
            content: json({ type: 'object', properties: { keys: { type: 'array', items: { type: 'object' } } }, required: ['keys'] }),
          },
          ...anyFailure,
        },
      },
    },
    '/openapi.json': {
      get: {
        operationId: 'openApi',
        tags: ['Server'],
        summary: 'This document',
        description: 'The routes of this server for programs, in OpenAPI 3.1.',
        security: PUBLIC,
        responses: {
          200: { description: 'This document.', content: json({ type: 'object', additionalProperties: true }) },
          ...anyFailure,
        },
      },
    },
  },
  schemas: schemasOf(healthy),
};
