import { IsNull, type EntityManager } from 'typeorm';
import { forUpdate } from '../db/database';
import { DAY_MS } from '../lib/time';
import { INSTALLATION } from './event-hash';
import { macOf, newChainKey, type ChainKey, type ChainKeys } from './chain-keys';
import { AuditChain, AuditSeal } from './seal.entities';

/**
 * While nodes are replaced one by one, nodes of the previous version make seals without a key. Such seals get their `mac` later, during
 * this time after the first start of this version.
 */
const ADOPTION_MS = DAY_MS;
const CHAINS_AT_A_TIME = 500;

/** When to look again for seals of the previous version. */
export type NextAdoption = 'at once' | 'later' | 'never';

/**
 * Gives keys to chains of the previous version. Authenticates the newest seal of a chain, which proves all seals before it. Does this for a
 * day after the first start of this version, and never on a database that had no seals at that time. `now` is in milliseconds since 1970.
 */
export async function adoptChains(tx: EntityManager, keys: ChainKeys, now: number): Promise<NextAdoption> {
  const installation = await tx.findOneOrFail(AuditChain, { where: { id: INSTALLATION }, ...forUpdate(tx) });
  if (installation.wrappedKey === null) {
    const isOlder = await tx.existsBy(AuditSeal, {});
    const first = newChainKey(Math.max(installation.sequence, 1));
    await give(tx, keys, installation, { ...first, adoptsUntil: isOlder ? now + ADOPTION_MS : 0 });
    return isOlder ? 'at once' : 'never';
  }
  const key = keys.open(INSTALLATION, installation.wrappedKey);
  if (!key?.adoptsUntil) return 'never'; // the audit reports a key that does not open
  const chains = await unkeyed(tx);
  for (const chain of chains) {
    const known = keys.open(chain.id, chain.wrappedKey) ?? newChainKey(1);
    await give(tx, keys, chain, { ...known, from: chain.sequence });
  }
  if (chains.length > 0) return 'at once';
  if (now < key.adoptsUntil) return 'later';
  await tx.update(AuditChain, { id: INSTALLATION }, { wrappedKey: keys.wrapped(INSTALLATION, { ...key, adoptsUntil: 0 }) });
  return 'never';
}

/** Finds chains with a newest seal that is not authenticated. */
function unkeyed(tx: EntityManager): Promise<AuditChain[]> {
  return tx
    .createQueryBuilder(AuditChain, 'chain')
    .innerJoin(AuditSeal, 'seal', 'seal.chainId = chain.id AND seal.sequence = chain.sequence')
    .where('seal.mac IS NULL')
    .limit(CHAINS_AT_A_TIME)
    .getMany();
}

async function give(tx: EntityManager, keys: ChainKeys, { id, sequence, hash }: AuditChain, key: ChainKey): Promise<void> {
  await tx.update(AuditChain, { id }, { wrappedKey: keys.wrapped(id, key) });
  // eslint-disable-next-line house/typeorm-writes -- fills a mac that the previous version left empty; the rest of the seal stays
  await tx.update(AuditSeal, { chainId: id, sequence, mac: IsNull() }, { mac: macOf(key, id, { sequence, hash }) });
}
