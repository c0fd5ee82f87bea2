import { In, type EntityManager } from 'typeorm';
import { forUpdate, type Database } from '../db/database';
import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import { BEFORE_THE_FIRST, INSTALLATION, chainOf, hashOf, type Link } from './chain';
import { AuditChain, AuditSeal, UnsealedEvent } from './seal.entities';
import { waitingEvents } from './trail';

/** How often a process looks for events that are not sealed yet. Any process may; one seals at a time. */
export const SEAL_INTERVAL_MS = 500;
/** How long it waits after it failed. */
const FAILED_INTERVAL_MS = 5_000;
const SEALED_AT_A_TIME = 500;

export interface SealerDeps {
  database: Database;
  log: Log;
}

/** Gives committed events their places: over all nodes, each event once, and after every event that had been committed before it began. */
export class Sealer extends Repeated {
  constructor(private readonly deps: SealerDeps) {
    super({ intervalMs: SEAL_INTERVAL_MS, failedIntervalMs: FAILED_INTERVAL_MS, failed: (error) => deps.log.warn({ err: error }, 'sealing the audit trail failed') });
  }

  /** Seals until nothing waits. Where nothing does it only reads. */
  async once(): Promise<void> {
    while ((await waitingEvents(this.deps.database.reader, 1)).length > 0) await this.deps.database.transaction(sealNext);
  }
}

/** Seals the oldest events that wait. The lock keeps other sealers out until this transaction is seen by all. */
async function sealNext(tx: EntityManager): Promise<void> {
  await tx.findOneOrFail(AuditChain, { where: { id: INSTALLATION }, ...forUpdate(tx) });
  const waiting = await waitingEvents(tx, SEALED_AT_A_TIME);
  if (waiting.length === 0) return; // another sealer had them
  const sealed = new Set((await tx.findBy(AuditSeal, { eventId: In(waiting.map(({ id }) => id)) })).map(({ eventId }) => eventId));
  const events = waiting.filter(({ id }, index) => !sealed.has(id) && waiting.findIndex((other) => other.id === id) === index); // or one that waits twice would stop all
  const known = await tx.findBy(AuditChain, { id: In([...new Set(events.map(chainOf))]) });
  const heads = new Map<string, Link>(known.map((chain) => [chain.id, chain]));
  let position = Number((await tx.maximum(AuditSeal, 'position')) ?? 0);
  const seals = events.map((event) => {
    const chainId = chainOf(event);
    const previous = heads.get(chainId) ?? BEFORE_THE_FIRST;
    const link = { sequence: previous.sequence + 1, hash: hashOf(chainId, previous, event) };
    heads.set(chainId, link);
    return { position: (position += 1), chainId, eventId: event.id, ...link };
  });
  if (seals.length > 0) await tx.insert(AuditSeal, seals);
  await moveHeads(tx, heads, new Set(known.map(({ id }) => id)));
  // One by one by the primary key: MariaDB looks for several in the whole table, and would wait there for events that are not committed yet
  for (const { queuePosition: position } of waiting) await tx.delete(UnsealedEvent, { position });
}

async function moveHeads(tx: EntityManager, heads: Map<string, Link>, known: Set<string>): Promise<void> {
  const begun = [...heads].filter(([id]) => !known.has(id)).map(([id, { sequence, hash }]) => ({ id, sequence, hash }));
  if (begun.length > 0) await tx.insert(AuditChain, begun);
  for (const id of known) {
    const { sequence, hash } = heads.get(id) as Link;
    await tx.update(AuditChain, { id }, { sequence, hash });
  }
}
