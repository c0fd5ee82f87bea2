import { In, type EntityManager } from 'typeorm';
import { forUpdate, type Database } from '../db/database';
import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import { adoptChains } from './adoption';
import { BEFORE_THE_FIRST, INSTALLATION, chainOf, hashOf, type Link } from './chain';
import { macOf, newChainKey, type ChainKey, type ChainKeys } from './chain-keys';
import { AuditChain, AuditSeal, UnsealedEvent } from './seal.entities';
import { waitingEvents } from './trail';

/** How often a process looks for events that are not sealed yet. Any process may; one seals at a time. */
export const SEAL_INTERVAL_MS = 500;
/** How long it waits after it failed. */
const FAILED_INTERVAL_MS = 5_000;
const SEALED_AT_A_TIME = 500;

/** How often it looks for seals of the version before, while there may be any. */
const ADOPT_INTERVAL_MS = 60_000;

export interface SealerDeps {
  database: Database;
  keys: ChainKeys;
  log: Log;
}

/** Gives committed events their places: over all nodes, each event once, and after every event that had been committed before it began. */
export class Sealer extends Repeated {
  /** By this process's monotonic clock. */
  private adoptsAt = 0;

  constructor(private readonly deps: SealerDeps) {
    super({
      intervalMs: SEAL_INTERVAL_MS,
      failedIntervalMs: FAILED_INTERVAL_MS,
      failed: (error) => deps.log.warn({ err: error }, 'sealing the audit trail failed'),
    });
  }

  /** Seals until nothing waits. Where nothing does it only reads. */
  async once(): Promise<void> {
    const { database, keys } = this.deps;
    while (performance.now() >= this.adoptsAt) {
      const now = (await database.now()).getTime();
      const next = await database.transaction((tx) => adoptChains(tx, keys, now));
      if (next !== 'at once') this.adoptsAt = next === 'never' ? Infinity : performance.now() + ADOPT_INTERVAL_MS;
    }
    while ((await waitingEvents(database.reader, 1)).length > 0) await database.transaction((tx) => sealNext(tx, keys));
  }
}

/** The end of a chain while events are added to it. */
interface Head extends Link {
  /** Undefined where the chain has lost its key: it goes on, and the audit tells of it. */
  key: ChainKey | undefined;
}

/** Seals the oldest events that wait. The lock keeps other sealers out until this transaction is seen by all. */
async function sealNext(tx: EntityManager, keys: ChainKeys): Promise<void> {
  await tx.findOneOrFail(AuditChain, { where: { id: INSTALLATION }, ...forUpdate(tx) });
  const waiting = await waitingEvents(tx, SEALED_AT_A_TIME);
  if (waiting.length === 0) return; // another sealer had them
  const sealed = new Set((await tx.findBy(AuditSeal, { eventId: In(waiting.map(({ id }) => id)) })).map(({ eventId }) => eventId));
  const events = waiting.filter(({ id }, index) => !sealed.has(id) && waiting.findIndex((other) => other.id === id) === index); // or one that waits twice would stop all
  const known = await tx.findBy(AuditChain, { id: In([...new Set(events.map(chainOf))]) });
  const headOf = ({ id, sequence, hash, wrappedKey }: AuditChain): Head => ({ sequence, hash, key: keys.open(id, wrappedKey) });
  const heads = new Map<string, Head>(known.map((chain) => [chain.id, headOf(chain)]));
  let position = Number((await tx.maximum(AuditSeal, 'position')) ?? 0);
  const seals = events.map((event) => {
    const chainId = chainOf(event);
    const { key, ...previous } = heads.get(chainId) ?? { ...BEFORE_THE_FIRST, key: newChainKey(1) };
    const link = { sequence: previous.sequence + 1, hash: hashOf(chainId, previous, event) };
    heads.set(chainId, { ...link, key });
    return { position: (position += 1), chainId, eventId: event.id, ...link, mac: key ? macOf(key, chainId, link) : null };
  });
  if (seals.length > 0) await tx.insert(AuditSeal, seals);
  await moveHeads(tx, keys, heads, new Set(known.map(({ id }) => id)));
  // One by one by the primary key: MariaDB looks for several in the whole table, and would wait there for events that are not committed yet
  for (const { queuePosition: position } of waiting) await tx.delete(UnsealedEvent, { position });
}

async function moveHeads(tx: EntityManager, keys: ChainKeys, heads: Map<string, Head>, known: Set<string>): Promise<void> {
  const begun = [...heads].filter(([id]) => !known.has(id));
  const rows = begun.map(([id, { sequence, hash, key }]) => ({ id, sequence, hash, wrappedKey: key ? keys.wrapped(id, key) : null }));
  if (rows.length > 0) await tx.insert(AuditChain, rows);
  for (const id of known) {
    const { sequence, hash } = heads.get(id) as Link;
    await tx.update(AuditChain, { id }, { sequence, hash });
  }
}
