import DataLoader from 'dataloader';
import { In, type EntityManager, type FindOptionsWhere, type ObjectLiteral } from 'typeorm';
import type { PageRequest } from '../db/keyset';
import { countLists, readPages, type List, type Page } from '../db/list';
import type { Connection, Count } from '../lib/graphql-types';
import type { Work } from './work';

/** Looks up many ids at once. The result has only the ids that were found. */
export type Batch<V> = (ids: readonly string[], reader: EntityManager) => Promise<Map<string, V>>;

/** Maximum ids or lists in one batch. */
const MAX_BATCH_SIZE = 500;
/** Maximum concurrent statements of one request. All their results may arrive in the same turn of the event loop. */
const MAX_STATEMENTS_AT_ONCE = 4;

type Class<T> = new () => T;

/**
 * The loaders of one request. They batch all look-ups that the request starts before it waits. They cache nothing, so that reads after a
 * mutation see its changes.
 */
export class Loaders {
  private readonly loaders = new Map<unknown, DataLoader<string, unknown>>();
  private reading = 0;
  private readonly waiting: (() => void)[] = [];
  private readonly lists = new Map<unknown, Map<string, ListLoaders<ObjectLiteral, unknown>>>();

  constructor(
    private readonly reader: EntityManager,
    private readonly work: Work,
  ) {}

  load<V>(batch: Batch<V>, id: string): Promise<V | null> {
    return this.loaderOf(batch).load(id) as Promise<V | null>;
  }

  /**
   * Reads a page of a list. Batches pages of the same list with the same arguments, for all scopes. Batches their counts in the same way.
   */
  async page<T extends ObjectLiteral, S, A>(list: List<T, S, A>, scope: S, args: A, page: PageRequest): Promise<Connection<T>> {
    const { pages, counts } = this.listLoadersOf(list, args, page);
    let counted: Promise<Count> | undefined;
    return { ...(await pages.load(scope)), count: () => (counted ??= counts.load(scope)) };
  }

  private listLoadersOf<T extends ObjectLiteral, S, A>(list: List<T, S, A>, args: A, page: PageRequest): ListLoaders<T, S> {
    const { first, after, last, before } = page;
    const ofList = this.lists.get(list) ?? new Map<string, ListLoaders<ObjectLiteral, unknown>>();
    this.lists.set(list, ofList);
    const asked = JSON.stringify([args, first, after, last, before]);
    const known = ofList.get(asked) as ListLoaders<T, S> | undefined;
    if (known) return known;
    const loaders: ListLoaders<T, S> = {
      pages: this.loader((scopes) => readPages(this.reader, list, scopes, args, page)),
      counts: this.loader((scopes) => countLists(this.reader, list, scopes, args)),
    };
    ofList.set(asked, loaders as ListLoaders<ObjectLiteral, unknown>);
    return loaders;
  }

  private loaderOf<V>(batch: Batch<V>): DataLoader<string, unknown> {
    const known = this.loaders.get(batch);
    if (known) return known;
    const loader = this.loader(async (ids: readonly string[]): Promise<unknown[]> => {
      const found = await batch([...new Set(ids)], this.reader);
      return ids.map((id) => found.get(id) ?? null);
    });
    this.loaders.set(batch, loader);
    return loader;
  }

  private loader<K, V>(read: (keys: readonly K[]) => Promise<V[]>): DataLoader<K, V> {
    const batchScheduleFn = (dispatch: () => void) => this.work.whenIdle(dispatch);
    return new DataLoader<K, V>((keys) => this.inTurn(() => read(keys)), { cache: false, maxBatchSize: MAX_BATCH_SIZE, batchScheduleFn });
  }

  /** Reads when fewer than MAX_STATEMENTS_AT_ONCE statements are running. */
  private async inTurn<V>(read: () => Promise<V>): Promise<V> {
    if (this.reading >= MAX_STATEMENTS_AT_ONCE) await new Promise<void>((resolve) => this.waiting.push(resolve));
    else this.reading += 1;
    try {
      await this.work.turn();
      return await read();
    } finally {
      const next = this.waiting.shift(); // the next statement takes the place of this one
      if (next) next();
      else this.reading -= 1;
    }
  }
}

interface ListLoaders<T, S> {
  pages: DataLoader<S, Page<T>>;
  counts: DataLoader<S, Count>;
}

const batches = new Map<Class<object>, Map<string, Batch<object>>>();

/** Returns the batch that finds rows by a unique property, by default the id. */
export function by<T extends object>(entity: Class<T>, property: keyof T & string = 'id' as keyof T & string): Batch<T> {
  const ofEntity = batches.get(entity) ?? new Map<string, Batch<object>>();
  batches.set(entity, ofEntity);
  const batch: Batch<T> =
    (ofEntity.get(property) as Batch<T> | undefined) ??
    (async (ids, reader) => {
      const rows = await reader.findBy(entity, { [property]: In([...ids]) } as FindOptionsWhere<T>);
      return new Map(rows.map((row) => [row[property] as string, row]));
    });
  ofEntity.set(property, batch as Batch<object>);
  return batch;
}
