import DataLoader from 'dataloader';
import { In, type EntityManager, type FindOptionsWhere } from 'typeorm';

/** Looks many things up at once: what is found by id, and nothing for the others. */
export type Batch<V> = (ids: readonly string[], reader: EntityManager) => Promise<Map<string, V>>;

const MAX_BATCH_SIZE = 500;

type Class<T> = new () => T;

/**
 * The look-ups of one request: those of one turn of the event loop go to the database together. Nothing is kept from one turn to the
 * next, so a mutation never reads what was true before it.
 */
export class Loaders {
  private readonly loaders = new Map<unknown, DataLoader<string, unknown>>();

  constructor(private readonly reader: EntityManager) {}

  load<V>(batch: Batch<V>, id: string): Promise<V | null> {
    return this.loaderOf(batch).load(id) as Promise<V | null>;
  }

  private loaderOf<V>(batch: Batch<V>): DataLoader<string, unknown> {
    const known = this.loaders.get(batch);
    if (known) return known;
    const loader = new DataLoader<string, unknown>(
      async (ids) => {
        const found = await batch([...new Set(ids)], this.reader);
        return ids.map((id) => found.get(id) ?? null);
      },
      { cache: false, maxBatchSize: MAX_BATCH_SIZE },
    );
    this.loaders.set(batch, loader);
    return loader;
  }
}

const batches = new Map<Class<object>, Map<string, Batch<object>>>();

/** Finds rows by a property whose values are unique; by its id where none is named. */
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
