import { z } from 'zod';
import type { EntityManager } from 'typeorm';
import type { ChainKeys } from './chain-keys';
import { AuditChain, AuditSeal } from './seal.entities';

const PAGE = 5_000;

/** The end of a chain, kept outside the database as a line in a file of heads. */
const headRule = z.object({
  /** A workspace's id, or INSTALLATION. */
  chain: z.string(),
  sequence: z.int().min(0),
  hash: z.string(),
  /** The first sequence with an authenticated seal. Null or absent if unknown. */
  keyedFrom: z.int().nullable().default(null),
});

export type ChainHead = z.infer<typeof headRule>;

/** Reads the heads of all chains that have events. */
export async function* chainHeads(reader: EntityManager, keys: ChainKeys): AsyncGenerator<ChainHead> {
  for (let after = ''; ; ) {
    const query = reader.createQueryBuilder(AuditChain, 'chain').where('chain.id > :after', { after }).orderBy('chain.id').limit(PAGE);
    const chains = await query.getMany();
    for (const { id, sequence, hash, wrappedKey } of chains) {
      if (sequence > 0) yield { chain: id, sequence, hash, keyedFrom: keys.open(id, wrappedKey)?.from ?? null };
    }
    if (chains.length < PAGE) return;
    after = chains.at(-1)?.id ?? '';
  }
}

/** Parses a file of heads with one line of JSON each. Throws if a line is not a head. */
export function parseHeads(text: string): ChainHead[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => headRule.parse(JSON.parse(line)));
}

/** Compares a chain with its kept head. Returns the fault as a sentence, or undefined if the chain still contains the head. */
export async function faultOfHead(reader: EntityManager, keys: ChainKeys, head: ChainHead): Promise<string | undefined> {
  const { chain, sequence, hash, keyedFrom } = head;
  const seal = await reader.findOneBy(AuditSeal, { chainId: chain, sequence });
  if (!seal) return `link ${sequence} is in the file of heads but not in the chain: the chain was cut off`;
  if (seal.hash !== hash) return `link ${sequence} is not the one in the file of heads: the chain was rewritten`;
  if (keyedFrom === null) return undefined;
  const row = await reader.findOneBy(AuditChain, { id: chain });
  const from = row && keys.open(chain, row.wrappedKey)?.from;
  if (typeof from === 'number' && from <= keyedFrom) return undefined;
  return `link ${keyedFrom} was authenticated when the file of heads was written, and is not any more: the key of the chain was replaced`;
}
