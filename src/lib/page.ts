import type { Connection } from './graphql-types';

/**
 * The values that the rows of a list are ordered by. They are the position of a row, and stay valid when other rows are added or removed.
 */
export type Place = (string | number)[];

/** Makes an opaque cursor for a place. */
export function encodeCursor(place: Place): string {
  return Buffer.from(JSON.stringify(place)).toString('base64url');
}

/** The place of a cursor. Returns undefined if `encodeCursor` did not make it, or if its values do not have the given types. */
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

/** Compares places as a database orders them: numbers by value, text by bytes. */
export function comparePlaces(one: Place, other: Place): number {
  for (const [index, value] of one.entries()) {
    const against = other[index] as string | number;
    const order =
      typeof value === 'number' ? value - (against as number) : Buffer.compare(Buffer.from(value), Buffer.from(against as string));
    if (order !== 0) return order;
  }
  return 0;
}

/** The page that the arguments ask for. */
export interface PagePlan {
  size: number;
  /** Whether to read backwards, from the end of the list or from `before`. */
  isBackwards: boolean;
  after: Place | undefined;
  before: Place | undefined;
}

/** The rows that were read for a page. */
export interface PageRows<T> {
  /** The rows in reading order. Has one more than the page's size if more rows follow. */
  rows: T[];
  /** The place where reading stopped, if that was before the page was full and before the list ended. */
  reached: Place | undefined;
}

/** Makes the page from its rows. */
export function toPage<T>(
  { rows, reached }: PageRows<T>,
  plan: PagePlan,
  cursorOf: (row: T) => string,
  cursorAt: (place: Place) => string,
): Omit<Connection<T>, 'count'> {
  const isFull = rows.length > plan.size;
  const isCutShort = !isFull && reached !== undefined;
  const nodes = rows.slice(0, plan.size);
  if (plan.isBackwards) nodes.reverse();
  const edges = nodes.map((node) => ({ cursor: cursorOf(node), node }));
  const end = isCutShort ? cursorAt(reached) : null;
  const more = isFull || isCutShort;
  const [first, last] = [edges[0]?.cursor ?? null, edges.at(-1)?.cursor ?? null];
  const { isBackwards, after, before } = plan;
  return {
    edges,
    nodes,
    pageInfo: {
      hasNextPage: isBackwards ? before !== undefined : more,
      hasPreviousPage: isBackwards ? more : after !== undefined,
      startCursor: isBackwards ? (end ?? first) : first,
      endCursor: isBackwards ? last : (end ?? last),
      isCutShort,
    },
  };
}
