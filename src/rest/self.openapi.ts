import { PARAMETERS } from './execute.openapi';
import { CREDENTIAL_CODES, failures } from './openapi/failures';
import { headers } from './openapi/headers';
import { json, ref, schemasOf, type Part } from './openapi/part';
import { withSecret } from './openapi/security';
import { selfAnswer } from './self.route';

const OWN_PARAMETERS = ['X-Project-Id', 'X-Api-Version'];

export const self: Part = {
  paths: {
    '/v1/self': {
      get: {
        operationId: 'self',
        tags: ['Calls'],
        summary: 'What the credential is, and what its project has left',
        description: 'Costs no credit, and uses no rate.',
        security: withSecret(),
        parameters: PARAMETERS.filter(({ name }) => OWN_PARAMETERS.includes(name)),
        responses: {
          200: { description: 'The credential.', headers: headers('RateLimit', 'RateLimit-Policy'), content: json(ref('Self')) },
          ...failures([
            'INVALID_REQUEST',
            ...CREDENTIAL_CODES,
            'NOT_FOUND',
            'INTERNAL',
            'SERVICE_UNAVAILABLE',
          ]),
        },
      },
    },
  },
  schemas: schemasOf(selfAnswer),
};
