import { z } from 'zod';
import type { TrailEntry } from '../../audit/trail';
import { decodeCursor, encodeCursor } from '../../lib/page';
import { idRule } from '../../lib/rules';

const TRAIL = 'trail';

/** How much of the hash at its place a cursor carries. */
const HASH_PART = 12;

/** The cursor of what is sealed at a place: whoever reads on after it misses nothing. It carries the hash too, so that it fits no trail that went another way. */
export const trailCursor = ({ position, hash }: TrailPlace): string => encodeCursor([TRAIL, position, hash.slice(0, HASH_PART)]);

/** A place in the trail, with the hash there or what a cursor carries of it. */
export type TrailPlace = Pick<TrailEntry, 'position' | 'hash'>;

/** The place that a cursor stands for; undefined where it is none of ours. */
export function trailPlace(cursor: string): TrailPlace | undefined {
  const [list, position, hash] = decodeCursor(cursor, ['string', 'number', 'string']) ?? [];
  return list === TRAIL && (position as number) >= 0 ? { position: position as number, hash: hash as string } : undefined;
}

/** Whether a cursor's place is in the trail of which `entry` is what stands there: the beginning always is. */
export function isPlaceOf({ position, hash }: TrailPlace, entry: TrailPlace | undefined): boolean {
  return position === 0 || (entry?.position === position && entry.hash.slice(0, HASH_PART) === hash);
}

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
