import { z } from 'zod';
import { trailPlace } from '../../audit/trail.cursor';
import { idRule } from '../../lib/rules';

const WORKSPACE = "Only events of this workspace. If absent: all events for the operator, otherwise those of the caller's workspace.";

/** The query of an export of the audit trail. The OpenAPI document is generated from this schema. */
export const auditQuery = z.strictObject({
  format: z
    .enum(['ndjson', 'ocsf'], 'must be ndjson or ocsf')
    .default('ndjson')
    .meta({ description: "Events in Tollgate's own form, or in the Open Cybersecurity Schema Framework (OCSF)." }),
  after: z
    .string('must be one cursor')
    .refine((cursor) => trailPlace(cursor) !== undefined, 'is not a cursor of this list')
    .meta({ description: '`cursor` of the last line that was read. The export continues after it.' })
    .optional(),
  follow: z
    .enum(['true', 'false'], 'must be true or false')
    .default('false')
    .meta({ description: 'Whether to keep the connection open and send new events.' }),
  workspaceId: idRule.meta({ description: WORKSPACE }).optional(),
});
