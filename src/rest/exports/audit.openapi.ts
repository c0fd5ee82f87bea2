import { z } from 'zod';
import { jsonLines, queryParameters, ref, schemasOf, type Part } from '../openapi/part';
import { withSecret } from '../openapi/security';
import { auditQuery } from './audit.schema';
import { EXPORT_FAILURES, INCOMPLETE } from './exports.openapi';
import { text, textOrNull } from './table';

const place = {
  cursor: text.meta({ description: 'Send it as `after` to continue after this line.' }),
  chain: text.meta({ description: 'The workspace of the chain, or `installation`.' }),
  sequence: z.int().meta({ description: 'Place in the chain, from 1.' }),
  hash: text.meta({ description: 'SHA-256 in hex, which includes the hash before it.' }),
};
const values = z.unknown().meta({ description: 'The changed properties with their values, or null.' });

const event = z
  .object({
    ...place,
    id: text,
    workspaceId: textOrNull,
    actorKind: text,
    actorId: text,
    action: text.meta({ description: 'What happened, such as `key.revoked`.' }),
    subjectId: text.meta({ description: 'The changed object.' }),
    ip: textOrNull,
    userAgent: textOrNull,
    before: values,
    after: values,
    createdAt: text.meta({ format: 'date-time' }),
  })
  .meta({ id: 'ExportedAuditEvent' });

const missing = z
  .object({ ...place, missing: z.literal(true) })
  .meta({ id: 'MissingAuditEvent', description: 'The event at this place was deleted. The chain breaks here.' });

const ocsf = z
  .looseObject({ cursor: place.cursor, class_uid: z.int() })
  .meta({ id: 'OcsfEvent', description: 'An event of the Open Cybersecurity Schema Framework 1.3.0, with its cursor.' });

const EXAMPLE = {
  cursor: 'WyJ0cmFpbCIsMSwiNWUxZDA4YzQzZjcyIl0',
  chain: 'ws_0VKq3ZaZ9k2Lm5QpR7sTuV',
  sequence: 1,
  hash: '5e1d08c43f72b6a90c1e8d2f47a35b6098c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3',
  id: 'evt_0VKq3Zb2C4dE6fG8hJ0kLm',
  workspaceId: 'ws_0VKq3ZaZ9k2Lm5QpR7sTuV',
  actorKind: 'OPERATOR',
  actorId: 'operator',
  action: 'workspace.created',
  subjectId: 'ws_0VKq3ZaZ9k2Lm5QpR7sTuV',
  ip: '192.0.2.7',
  userAgent: 'curl/8.14.1',
  before: null,
  after: { name: 'Acme', slug: 'acme' },
  createdAt: '2026-11-20T16:05:12.480Z',
};

/** The lines of the two formats. */
export const auditLines = { ndjson: z.union([event, missing]), ocsf };

export const auditExport: Part = {
  paths: {
    '/v1/audit/export': {
      get: {
        operationId: 'exportAuditTrail',
        tags: ['Exports'],
        summary: 'Audit trail, one event per line, in the order in which events were sealed',
        description: `Needs the permission \`read.audit\`. ${INCOMPLETE}`,
        security: withSecret('read.audit'),
        parameters: queryParameters(auditQuery),
        responses: {
          200: {
            description: 'Lines of JSON. Each has the `cursor` to continue after it. Ignore empty lines.',
            content: jsonLines({ oneOf: [ref('ExportedAuditEvent'), ref('MissingAuditEvent'), ref('OcsfEvent')] }, EXAMPLE),
          },
          ...EXPORT_FAILURES,
        },
      },
    },
  },
  schemas: schemasOf(event, missing, ocsf),
};
