import { invalid } from '../errors';
import { decodeCursor, encodeCursor } from '../lib/page';
import type { TrailEntry, TrailRequest } from './trail';

const TRAIL = 'trail';

/** The number of characters of the hash that a cursor contains. */
const HASH_PART = 12;

/** A position in the trail, with the hash of its seal, or the part of the hash that a cursor contains. */
export type TrailPlace = Pick<TrailEntry, 'position' | 'hash'>;

/**
 * The cursor of a seal. A reader that continues after it misses nothing. It contains a part of the hash, so that it does not fit a trail
 * with another history.
 */
export const trailCursor = ({ position, hash }: TrailPlace): string => encodeCursor([TRAIL, position, hash.slice(0, HASH_PART)]);

/** The place of a cursor, or undefined if `trailCursor` did not make it. */
export function trailPlace(cursor: string): TrailPlace | undefined {
  const [list, position, hash] = decodeCursor(cursor, ['string', 'number', 'string']) ?? [];
  return list === TRAIL && (position as number) >= 0 ? { position: position as number, hash: hash as string } : undefined;
}

/**
 * The position to continue from. Throws INVALID_REQUEST if the trail has no seal or another seal at this position: events could be missed
 * unnoticed.
 */
export async function positionOf(cursor: string, read: (request: TrailRequest) => Promise<TrailEntry[]>): Promise<number> {
  const place = trailPlace(cursor);
  if (place?.position === 0) return 0; // every trail has a beginning
  const [entry] = place ? await read({ after: place.position - 1, limit: 1 }) : [];
  if (place && entry?.position === place.position && entry.hash.slice(0, HASH_PART) === place.hash) return place.position;
  throw invalid({ path: ['after'], message: 'is not in this trail, perhaps because a backup was restored. Begin again without it' });
}
