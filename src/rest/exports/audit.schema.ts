import { z } from 'zod';
import { trailPlace } from '../../audit/trail.cursor';
import { idRule } from '../../lib/rules';

/** The query of an export of the audit trail. The OpenAPI document is made of this very schema. */
export const auditQuery = z.strictObject({
  format: z.enum(['ndjson', 'ocsf'], 'must be ndjson or ocsf').default('ndjson').meta({ description: 'Events as they are here, or as OCSF has them.' }),
  after: z
    .string('must be one cursor')
    .refine((cursor) => trailPlace(cursor) !== undefined, 'is not a cursor of this list')
    .meta({ description: 'The cursor of the last line that was read: goes on after it.' })
    .optional(),
  follow: z.enum(['true', 'false'], 'must be true or false').default('false').meta({ description: 'Whether to stay and send what is sealed from then on.' }),
  workspaceId: idRule
    .meta({ description: 'The events of this workspace alone. Where it is absent: all that there are for the operator, those of its workspace for a key.' })
    .optional(),
});
