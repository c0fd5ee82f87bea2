import type { Connection } from './graphql-types';

export const DEFAULT_PAGE_SIZE = 25;
export const MAX_PAGE_SIZE = 100;

/** The values that a row is ordered by: its place in a list, whatever rows come and go around it. */
export type Place = (string | number)[];

/** An opaque cursor for a place. */
export function encodeCursor(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** The place that a cursor stands for, if it is one of ours whose values have the types given; else undefined. */
export function decodeCursor(cursor: string, types: ('string' | 'number')[]): Place | undefined {
  let place: unknown;
  try {
    place = JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
  const fits =
    Array.isArray(place) &&
    place.length === types.length &&
    place.every((value, index) => typeof value === types[index] && (typeof value === 'string' || Number.isSafeInteger(value)));
  return fits && encodeCursor(place as Place) === cursor ? (place as Place) : undefined;
}

/** A page of `size` out of rows of which one more than that was asked for, to know whether more follow. */
export function toConnection<T>(rows: T[], size: number, isFirstPage: boolean, placeOf: (row: T) => Place): Connection<T> {
  const nodes = rows.slice(0, size);
  const edges = nodes.map((node) => ({ cursor: encodeCursor(placeOf(node)), node }));
  return {
    edges,
    nodes,
    pageInfo: {
      hasNextPage: rows.length > size,
      hasPreviousPage: !isFirstPage,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  };
}
