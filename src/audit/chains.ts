import type { EntityManager } from 'typeorm';
import { INSTALLATION } from './chain';
import { verifyChain } from './verify';

const PAGE = 5_000;

export interface ChainReport {
  /** A workspace's id, or INSTALLATION. */
  chain: string;
  /** Up to which sequence it holds. */
  verifiedTo: number;
  /** Where it breaks first, in a sentence; empty where it holds. */
  faults: string[];
}

/** Verifies every chain of the audit trail, while events are written and sealed. Gives a report a chain. */
export async function* auditChains(reader: EntityManager): AsyncGenerator<ChainReport> {
  for await (const chain of chainIds(reader)) {
    const { verifiedTo, firstBroken } = await verifyChain(reader, chain);
    yield { chain, verifiedTo, faults: firstBroken ? [sentence(firstBroken)] : [] };
  }
}

const sentence = ({ sequence, eventId, reason }: { sequence: number; eventId: string | null; reason: string }): string =>
  `link ${sequence}${eventId === null ? '' : `, event ${eventId}`}: ${reason}`;

/** Also those that only an event, or only a seal, still tells of. */
async function* chainIds(reader: EntityManager): AsyncGenerator<string> {
  for (let last = ''; ; ) {
    const rows = await reader.query<{ id: string }[]>(
      `SELECT id FROM (SELECT '${INSTALLATION}' AS id UNION SELECT id FROM audit_chains UNION SELECT chain_id FROM audit_seals
        UNION SELECT workspace_id FROM audit_events WHERE workspace_id IS NOT NULL) c WHERE id > ? ORDER BY id LIMIT ${PAGE}`,
      [last],
    );
    for (const { id } of rows) yield id;
    if (rows.length < PAGE) return;
    last = rows.at(-1)?.id ?? '';
  }
}
