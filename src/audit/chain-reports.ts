import type { EntityManager } from 'typeorm';
import type { Database } from '../db/database';
import { INSTALLATION } from './event-hash';
import type { ChainKeys } from './chain-keys';
import { faultOfHead, type ChainHead } from './heads';
import { lostEvent, verifyChain } from './verify';

const PAGE = 5_000;
const LONG_WAIT_MS = 60_000;

export interface ChainReport {
  /** A workspace's id, or INSTALLATION. */
  chain: string;
  /** All events up to this sequence are correct. */
  verifiedTo: number;
  /** The first sequence with an authenticated seal: 1, or more if the chain is older than its key. Null if it has no key yet. */
  keyedFrom: number | null;
  /** The faults, each as a sentence. Empty if the chain is correct. */
  faults: string[];
}

/**
 * Verifies every chain of the audit trail and compares it with its head in `heads`. Events may be written and sealed at the same time.
 * Yields one report per chain, and one for the whole trail if seals are missing in it.
 */
export async function* auditChains(reader: EntityManager, keys: ChainKeys, heads: ChainHead[] = []): AsyncGenerator<ChainReport> {
  const kept = new Map(heads.map((head) => [head.chain, head]));
  const faultOfKept = async (chain: string): Promise<string[]> => {
    const head = kept.get(chain);
    const fault = head && (await faultOfHead(reader, keys, head));
    kept.delete(chain);
    return fault === undefined ? [] : [fault];
  };
  for await (const chain of chainIds(reader)) {
    const { verifiedTo, keyedFrom, firstBroken } = await verifyChain(reader, keys, chain);
    const lost = firstBroken ? undefined : await lostEvent(reader, chain);
    const broken = firstBroken ?? (lost && { sequence: verifiedTo + 1, ...lost });
    const isGone = !broken && verifiedTo === 0 && chain !== INSTALLATION && !(await hasEvents(reader, chain));
    const faults = broken ? [sentence(broken)] : isGone ? ['the chain and all its events are missing'] : [];
    yield { chain, verifiedTo, keyedFrom, faults: [...faults, ...(await faultOfKept(chain))] };
  }
  for (const chain of [...kept.keys()]) yield { chain, verifiedTo: 0, keyedFrom: null, faults: await faultOfKept(chain) };
  const [row] = await reader.query<{ seals: unknown; newest: unknown }[]>(
    'SELECT COUNT(*) AS seals, MAX(position) AS newest FROM audit_seals',
  );
  const [seals, newest] = [Number(row?.seals), Number(row?.newest ?? 0)];
  if (seals !== newest) {
    yield { chain: 'all', verifiedTo: 0, keyedFrom: null, faults: [`${newest - seals} of ${newest} seals are missing`] };
  }
}

/** Counts the events that have waited for over a minute to be sealed. Then no server runs, or sealing fails. */
export async function eventsThatWaitTooLong(database: Database): Promise<number> {
  const before = (await database.now()).getTime() - LONG_WAIT_MS;
  const [row] = await database.reader.query<{ events: unknown }[]>(
    'SELECT COUNT(*) AS events FROM unsealed_events u JOIN audit_events e ON e.id = u.event_id WHERE e.created_at < ?',
    [before],
  );
  return Number(row?.events);
}

async function hasEvents(reader: EntityManager, workspaceId: string): Promise<boolean> {
  return (await reader.query<object[]>('SELECT 1 FROM audit_events WHERE workspace_id = ? LIMIT 1', [workspaceId])).length > 0;
}

const sentence = ({ sequence, eventId, reason }: { sequence: number; eventId: string | null; reason: string }): string =>
  `link ${sequence}${eventId === null ? '' : `, event ${eventId}`}: ${reason}`;

/** Lists all chains, including a chain that is left only in its events, only in its seals, or only as its workspace. */
async function* chainIds(reader: EntityManager): AsyncGenerator<string> {
  for (let last = ''; ; ) {
    const rows = await reader.query<{ id: string }[]>(
      `SELECT id FROM (SELECT '${INSTALLATION}' AS id UNION SELECT id FROM audit_chains UNION SELECT chain_id FROM audit_seals
        UNION SELECT id FROM workspaces
        UNION SELECT workspace_id FROM audit_events WHERE workspace_id IS NOT NULL) c WHERE id > ? ORDER BY id LIMIT ${PAGE}`,
      [last],
    );
    for (const { id } of rows) yield id;
    if (rows.length < PAGE) return;
    last = rows.at(-1)?.id ?? '';
  }
}
