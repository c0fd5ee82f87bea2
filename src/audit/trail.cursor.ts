import { decodeCursor, encodeCursor } from '../lib/page';
import type { TrailEntry } from './trail';

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

/** Whether a cursor's place is in the trail of which `entry` is what stands there: the beginning always is. */
export function isPlaceOf({ position, hash }: TrailPlace, entry: TrailPlace | undefined): boolean {
  return position === 0 || (entry?.position === position && entry.hash.slice(0, HASH_PART) === hash);
}
