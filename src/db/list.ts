import type { EntityManager, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import { MAX_COUNTED, type Connection, type Count } from '../lib/graphql-types';
import { comparePlaces, toPage, type PagePlan, type Place } from '../lib/page';
import { inPieces } from '../lib/turns';
import type { Restrict } from './filters';
import { between, cursorAt, from, opposite, placeOf, planOf, readingDirection, type Direction, type KeysetOrder, type PageRequest } from './keyset';
import { readRawTogether, readTogether } from './together';

/** The most rows that are looked at for one page, where a filter leaves out what no index tells apart. */
const MAX_EXAMINED = 2_000;
/** The most values of a filter that are looked up one by one in an index of their own; more are left to that look at the rows. */
const MAX_LOOKED_UP = 16;

/** What a list is read of: of parts of an index, so that a page costs what it shows, whatever lies behind it. */
export interface ListSource<T extends ObjectLiteral> {
  /** Columns that an index begins with, and their values; the index goes on in the list's order. No row is in two of them. */
  ranges: Partial<Record<keyof T & string, unknown>>[];
  /**
   * What all rows of a range have or none has, where a filter names the ranges: one whose rows are another tenant's is not read at all, or a
   * page that was cut short would tell of them.
   */
  owner?: { property: keyof T & string; id: string } | undefined;
  /** From where to where of the list's order. */
  bounds?: Restrict<T> | undefined;
  /** Leaves out rows one by one, by what the index does not tell. */
  narrow?: Restrict<T> | undefined;
}

/** A kind of list: of the keys of a workspace, say, which is its scope. Its arguments are all but those of the page. */
export interface List<T extends ObjectLiteral, S, A> {
  entity: new () => T;
  orderOf(args: A): KeysetOrder<T>;
  sourceOf(scope: S, args: A): ListSource<T>;
}

/** A range for each value of a filter, where there are so few of them that each is looked up; else undefined. */
export function lookedUp<T>(property: keyof T & string, values: readonly string[] | null | undefined): ListSource<ObjectLiteral>['ranges'] | undefined {
  if (!values || values.length > MAX_LOOKED_UP) return undefined;
  return [...new Set(values)].filter((value) => value === value.trim()).map((value) => ({ [property]: value }));
}

/** A page without its count. */
export type Page<T> = Omit<Connection<T>, 'count'>;

/** A part of a list that one range of an index answers, and which of the scopes it belongs to. */
interface Part<T extends ObjectLiteral> extends Omit<ListSource<T>, 'ranges'> {
  of: number;
  range: ListSource<T>['ranges'][number];
}

/**
 * The same page of the lists of many scopes, in one statement, or two where something is left out by more than an index. Keyset pagination:
 * a page begins after its cursor's place, wherever that is by now, so that rows that arrive meanwhile neither shift nor repeat one.
 * INVALID_REQUEST for a size or a cursor that cannot be.
 */
export async function readPages<T extends ObjectLiteral, S, A>(reader: EntityManager, list: List<T, S, A>, scopes: readonly S[], args: A, page: PageRequest): Promise<Page<T>[]> {
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

/** How many rows the lists of many scopes have, each counted up to MAX_COUNTED. */
export async function countLists<T extends ObjectLiteral, S, A>(reader: EntityManager, list: List<T, S, A>, scopes: readonly S[], args: A): Promise<Count[]> {
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

async function partsOf<T extends ObjectLiteral, S, A>(reader: EntityManager, list: List<T, S, A>, scopes: readonly S[], args: A): Promise<Part<T>[]> {
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

/** The rows of a part between the page's cursors, as far as they are looked at. */
function rowsOf<T extends ObjectLiteral, S, A>(reader: EntityManager, list: List<T, S, A>, part: Part<T>, order: KeysetOrder<T>, plan: PagePlan, reached: Place | undefined): SelectQueryBuilder<T> {
  const query = indexed(reader, list, part, order, plan);
  part.narrow?.(query);
  from(query, order, opposite(readingDirection(order, plan)), reached, 'reached', true);
  return query;
}

/** The same without what no index tells. */
function indexed<T extends ObjectLiteral, S, A>(reader: EntityManager, { entity }: List<T, S, A>, { range, bounds }: Part<T>, order: KeysetOrder<T>, plan: PagePlan): SelectQueryBuilder<T> {
  const query = reader.createQueryBuilder(entity, 'row').where(range);
  bounds?.(query);
  between(query, order, plan);
  return query;
}

/**
 * How far the rows of each scope are looked at, for those of which some stay unlooked at: `budget` rows of all parts together, and `least`
 * of each. Read off the index alone. A list of several parts is known as far as the part that was left first.
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
    return query.offset(each - 1).limit(2); // the second tells that there is more
  });
  const found = await readRawTogether<{ major: string | number; minor: string | number }>(reader, queries);
  const sign = direction === 'DESC' ? -1 : 1;
  const reached = new Map<number, Place>();
  narrowed.forEach(({ of }, index) => {
    const places = (found[index] ?? []).map((row) => [row.major, row.minor].map((value, at) => (order.types[at] === 'number' ? Number(value) : value)));
    const [last, beyond] = places.sort((one, other) => sign * comparePlaces(one, other));
    if (!last || !beyond) return;
    const nearer = reached.get(of);
    if (!nearer || sign * comparePlaces(last, nearer) < 0) reached.set(of, last);
  });
  return reached;
}
