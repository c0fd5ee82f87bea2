import { In, type EntityManager } from 'typeorm';
import { forUpdate, type Database } from '../db/database';
import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import { adoptChains } from './adoption';
import { BEFORE_THE_FIRST, INSTALLATION, chainOf, hashOf, type Link } from './event-hash';
import { macOf, newChainKey, type ChainKey, type ChainKeys } from './chain-keys';
import { AuditChain, AuditSeal, UnsealedEvent } from './seal.entities';
import { waitingEvents } from './trail';

/** How often a process looks for unsealed events. Every process does, but only one seals at a time. */
export const SEAL_INTERVAL_MS = 500;
/** The wait after a failure. */
const FAILED_INTERVAL_MS = 5_000;
const SEALED_AT_A_TIME = 500;

/** How often a process looks for seals of the previous version, while there may be some. */
const ADOPT_INTERVAL_MS = 60_000;

/**
 * Logged when seals that were made without a secret get their authentication. Before that, an attacker with the database could rewrite the
 * trail.
 */
const ADOPTS = 'audit trail: seals without a secret are taken over; expected only after an upgrade from a version without secrets';

export interface SealerDeps {
  database: Database;
  keys: ChainKeys;
  log: Log;
}

/**
 * Gives committed events their places in the trail, over all nodes, once for each event. An event gets a later place than every event that
 * was committed before its transaction began.
 */
export class Sealer extends Repeated {
  /** When to look for chains without a key again, by the monotonic clock of this process. */
  private adoptsAt = 0;

  constructor(private readonly deps: SealerDeps) {
    super({
      intervalMs: SEAL_INTERVAL_MS,
      failedIntervalMs: FAILED_INTERVAL_MS,
      failed: (error) => deps.log.warn({ err: error }, 'sealing the audit trail failed'),
    });
  }

  /** Seals until no event waits. Only reads if no event waits. */
  async once(): Promise<void> {
    const { database, keys, log } = this.deps;
    while (performance.now() >= this.adoptsAt) {
      const now = (await database.now()).getTime();
      const next = await database.transaction((tx) => adoptChains(tx, keys, now));
      if (next === 'at once') log.warn({}, ADOPTS);
      else this.adoptsAt = next === 'never' ? Infinity : performance.now() + ADOPT_INTERVAL_MS;
    }
    while ((await waitingEvents(database.reader, 1)).length > 0) await database.transaction((tx) => sealNext(tx, keys));
  }
}

/** The end of a chain while this transaction adds events to it. */
interface Head extends Link {
  /** Undefined if the chain has lost its key. Sealing continues without it, and the audit reports the loss. */
  key: ChainKey | undefined;
}

/** Seals the oldest waiting events. The lock keeps out other sealers until this transaction is committed. */
async function sealNext(tx: EntityManager, keys: ChainKeys): Promise<void> {
  await tx.findOneOrFail(AuditChain, { where: { id: INSTALLATION }, ...forUpdate(tx) });
  const waiting = await waitingEvents(tx, SEALED_AT_A_TIME);
  if (waiting.length === 0) return; // another sealer has sealed them
  const sealed = new Set((await tx.findBy(AuditSeal, { eventId: In(waiting.map(({ id }) => id)) })).map(({ eventId }) => eventId));
  // Skips duplicates, because an event that is in the queue twice would make every later sealing fail
  const events = waiting.filter(({ id }, index) => !sealed.has(id) && waiting.findIndex((other) => other.id === id) === index);
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
  // Deletes one by one by the primary key. To delete several at once MariaDB would scan the table and wait for uncommitted events
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
