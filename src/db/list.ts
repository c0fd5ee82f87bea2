import type { EntityManager, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { type Connection, type Count } from '../lib/graphql-types';
import { MAX_COUNTED } from '../lib/page-sizes';
import { comparePlaces, toPage, type PagePlan, type Place } from '../lib/page';
import { inPieces } from '../lib/turns';
import type { Restrict } from './filters';
import {
  between,
  cursorAt,
  from,
  opposite,
  placeOf,
  planOf,
  readingDirection,
  type Direction,
  type KeysetOrder,
  type PageRequest,
} from './keyset';
import { readRawTogether, readTogether } from './together';

/** The largest number of rows that are read for one page if a filter has conditions without an index. */
const MAX_EXAMINED = 2_000;
/** Most values of a filter that are looked up in an index, one by one. A filter with more values is checked for each row of the list. */
const MAX_LOOKED_UP = 16;

/** The parts of an index that a list is read from. So the cost of a page depends on its size and not on the size of the list. */
export interface ListSource<T extends ObjectLiteral> {
  /** Values for the first columns of an index. Its next columns are the order of the list. No row may be in two ranges. */
  ranges: Partial<Record<keyof T & string, unknown>>[];
  /**
   * The tenant that must own all rows of a range. Set only if a filter names the ranges. A range of another tenant is not read at all:
   * otherwise `isCutShort` of a page could reveal that the range has rows.
   */
  owner?: { property: keyof T & string; id: string } | undefined;
  /** Limits the list to a part of its order, such as a time range. */
  bounds?: Restrict<T> | undefined;
  /** Conditions that need the row itself, because the index does not have their columns. */
  narrow?: Restrict<T> | undefined;
}

/** A kind of list, for example the keys of a workspace: the workspace is the scope. `args` are its arguments, except the page. */
export interface List<T extends ObjectLiteral, S, A> {
  entity: new () => T;
  orderOf(args: A): KeysetOrder<T>;
  sourceOf(scope: S, args: A): ListSource<T>;
}

/** Makes one range for each value of a filter. Returns undefined if there are more than MAX_LOOKED_UP values. */
export function lookedUp<T>(
  property: keyof T & string,
  values: readonly string[] | null | undefined,
): ListSource<ObjectLiteral>['ranges'] | undefined {
  if (!values || values.length > MAX_LOOKED_UP) return undefined;
  return [...new Set(values)].filter((value) => value === value.trim()).map((value) => ({ [property]: value }));
}

/** A page without its count. */
export type Page<T> = Omit<Connection<T>, 'count'>;

/** A part of a list: one range of a database index. `of` is the position of its scope in the list of scopes. */
interface Part<T extends ObjectLiteral> extends Omit<ListSource<T>, 'ranges'> {
  of: number;
  range: ListSource<T>['ranges'][number];
}

/**
 * Reads the same page of the lists of many scopes, in few statements. A page begins after the place of its cursor (keyset pagination). So
 * rows that are added meanwhile do not move other rows to another page. Throws INVALID_REQUEST for an invalid size or cursor.
 */
export async function readPages<T extends ObjectLiteral, S, A>(
  reader: EntityManager,
  list: List<T, S, A>,
  scopes: readonly S[],
  args: A,
  page: PageRequest,
): Promise<Page<T>[]> {
  const { tableName } = reader.connection.getMetadata(list.entity);
  const order = list.orderOf(args);
  const plan = planOf(tableName, order, page);
  const direction = readingDirection(order, plan);
  const parts = await partsOf(reader, list, scopes, args);
  const reached = await placesReached(reader, list, parts, order, plan, MAX_EXAMINED, plan.size + 1);
  const queries = await inPieces(parts, (part) => {
    const query = rowsOf(reader, list, part, order, plan, reached.get(part.of));
    return query.orderBy(`row.${order.columns[0]}`, direction).addOrderBy(`row.${order.columns[1]}`, direction).limit(plan.size + 1);
  });
  const found = await readTogether(reader, queries);
  const rowsOfScopes = scopes.map((): T[] => []);
  parts.forEach(({ of }, index) => rowsOfScopes[of]?.push(...(found[index] as T[])));
  const sign = direction === 'DESC' ? -1 : 1;
  return inPieces(rowsOfScopes, (rows, of) => {
    rows.sort((one, other) => sign * comparePlaces(placeOf(one, order), placeOf(other, order)));
    const cursorOf = (row: T) => cursorAt(tableName, order, placeOf(row, order));
    return toPage({ rows, reached: reached.get(of) }, plan, cursorOf, (place) => cursorAt(tableName, order, place));
  });
}

/** Counts the rows in the lists of many scopes, each up to MAX_COUNTED. */
export async function countLists<T extends ObjectLiteral, S, A>(
  reader: EntityManager,
  list: List<T, S, A>,
  scopes: readonly S[],
  args: A,
): Promise<Count[]> {
  const order = list.orderOf(args);
  const plan: PagePlan = { size: MAX_COUNTED, isBackwards: false, after: undefined, before: undefined };
  const parts = await partsOf(reader, list, scopes, args);
  const reached = await placesReached(reader, list, parts, order, plan, MAX_COUNTED, 1);
  const queries = await inPieces(parts, (part) => {
    const some = rowsOf(reader, list, part, order, plan, reached.get(part.of)).select('1', 'one').limit(MAX_COUNTED + 1);
    const query = reader.createQueryBuilder().select('COUNT(*)', 'rows');
    return query.from(`(${some.getQuery()})`, 'counted').setParameters(some.getParameters());
  });
  const counted = await readRawTogether<{ rows: number | string }>(reader, queries);
  const totals = scopes.map(() => 0);
  parts.forEach(({ of }, index) => (totals[of] = (totals[of] ?? 0) + Number(counted[index]?.[0]?.rows)));
  return totals.map((total, of) => {
    return { total: Math.min(total, MAX_COUNTED), isExact: total <= MAX_COUNTED && !reached.has(of) };
  });
}

async function partsOf<T extends ObjectLiteral, S, A>(
  reader: EntityManager,
  list: List<T, S, A>,
  scopes: readonly S[],
  args: A,
): Promise<Part<T>[]> {
  const parts = scopes.flatMap((scope, of) => {
    const { ranges, ...rest } = list.sourceOf(scope, args);
    return ranges.map((range): Part<T> => ({ of, range, ...rest }));
  });
  const named = parts.filter(({ owner }) => owner);
  const owners = await inPieces(named, ({ range, owner }) => {
    return reader.createQueryBuilder(list.entity, 'row').select(`row.${owner?.property}`, 'owner').where(range).limit(1);
  });
  const found = await readRawTogether<{ owner: string }>(reader, owners);
  const foreign = new Set(named.filter(({ owner }, index) => found[index]?.[0]?.owner !== owner?.id));
  return parts.filter((part) => !foreign.has(part));
}

/** The query for the rows of a part between the page's cursors, up to the place `reached`. */
function rowsOf<T extends ObjectLiteral, S, A>(
  reader: EntityManager,
  list: List<T, S, A>,
  part: Part<T>,
  order: KeysetOrder<T>,
  plan: PagePlan,
  reached: Place | undefined,
): SelectQueryBuilder<T> {
  const query = indexed(reader, list, part, order, plan);
  part.narrow?.(query);
  from(query, order, opposite(readingDirection(order, plan)), reached, 'reached', true);
  return query;
}

/** The query for the rows of a part between the page's cursors, with only the conditions that the index answers. */
function indexed<T extends ObjectLiteral, S, A>(
  reader: EntityManager,
  { entity }: List<T, S, A>,
  { range, bounds }: Part<T>,
  order: KeysetOrder<T>,
  plan: PagePlan,
): SelectQueryBuilder<T> {
  const query = reader.createQueryBuilder(entity, 'row').where(range);
  bounds?.(query);
  between(query, order, plan);
  return query;
}

/**
 * Finds the place in each scope where reading stops, by the index alone. Reads `budget` rows of all parts together, and at least `least` of
 * each part. A scope that is read to its end is not in the result. If a scope has several parts, reading stops at the nearest of their
 * places, because beyond it one part was not read.
 */
async function placesReached<T extends ObjectLiteral, S, A>(
  reader: EntityManager,
  list: List<T, S, A>,
  parts: Part<T>[],
  order: KeysetOrder<T>,
  plan: PagePlan,
  budget: number,
  least: number,
): Promise<Map<number, Place>> {
  const narrowed = parts.filter(({ narrow }) => narrow);
  const each = Math.max(least, Math.floor(budget / narrowed.length));
  const direction: Direction = readingDirection(order, plan);
  const [major, minor] = order.columns;
  const queries = await inPieces(narrowed, (part) => {
    const query = indexed(reader, list, part, order, plan).select(`row.${major}`, 'major').addSelect(`row.${minor}`, 'minor');
    query.orderBy(`row.${major}`, direction).addOrderBy(`row.${minor}`, direction);
    return query.offset(each - 1).limit(2); // a second row means that there is more
  });
  const found = await readRawTogether<{ major: string | number; minor: string | number }>(reader, queries);
  const sign = direction === 'DESC' ? -1 : 1;
  const reached = new Map<number, Place>();
  narrowed.forEach(({ of }, index) => {
    const places = (found[index] ?? []).map((row) =>
      [row.major, row.minor].map((value, at) => (order.types[at] === 'number' ? Number(value) : value)),
    );
    const [last, beyond] = places.sort((one, other) => sign * comparePlaces(one, other));
    if (!last || !beyond) return;
    const nearer = reached.get(of);
    if (!nearer || sign * comparePlaces(last, nearer) < 0) reached.set(of, last);
  });
  return reached;
}
