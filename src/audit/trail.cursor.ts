import { invalid } from '../errors';
import { decodeCursor, encodeCursor } from '../lib/page';
import type { TrailEntry, TrailRequest } from './trail';

const TRAIL = 'trail';

/** How much of the hash at its place a cursor carries. */
const HASH_PART = 12;

/** A place in the trail, with the hash there or what a cursor carries of it. */
export type TrailPlace = Pick<TrailEntry, 'position' | 'hash'>;

/** The cursor of what is sealed at a place: whoever reads on after it misses nothing. It carries the hash too, so that it fits no trail that went another way. */
export const trailCursor = ({ position, hash }: TrailPlace): string => encodeCursor([TRAIL, position, hash.slice(0, HASH_PART)]);

/** The place that a cursor stands for; undefined where it is none of ours. */
export function trailPlace(cursor: string): TrailPlace | undefined {
  const [list, position, hash] = decodeCursor(cursor, ['string', 'number', 'string']) ?? [];
  return list === TRAIL && (position as number) >= 0 ? { position: position as number, hash: hash as string } : undefined;
}

/** The position that a cursor reads on from. INVALID_REQUEST where something else stands there, or nothing: what was sealed since would be missed unseen. */
export async function positionOf(cursor: string, read: (request: TrailRequest) => Promise<TrailEntry[]>): Promise<number> {
  const place = trailPlace(cursor);
  if (place?.position === 0) return 0; // the beginning is in every trail
  const [entry] = place ? await read({ after: place.position - 1, limit: 1 }) : [];
  if (place && entry?.position === place.position && entry.hash.slice(0, HASH_PART) === place.hash) return place.position;
  throw invalid({ path: ['after'], message: 'is not a place in this trail; was a backup restored? Begin again without it' });
}
