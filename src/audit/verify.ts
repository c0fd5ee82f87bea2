import { Between, type EntityManager } from 'typeorm';
import { BEFORE_THE_FIRST, INSTALLATION, hashOf, type EventRow, type Link } from './event-hash';
import { macOf, type ChainKey, type ChainKeys } from './chain-keys';
import { AuditSeal } from './seal.entities';
import { eventsById } from './trail';

/** The number of seals read at once, so that verifying a long chain takes little memory. */
const PAGE = 1_000;

/** The largest number of events that one request verifies. A caller that wants more sends several requests. */
export const MAX_VERIFIED_AT_ONCE = 1_000;

/** The first broken link of a chain. */
export interface BrokenLink {
  /** Its place in the chain. */
  sequence: number;
  /** The event at this place, or null if it is unknown. */
  eventId: string | null;
  reason: string;
}

export interface Verification {
  checked: number;
  /** All events up to this sequence are correct. */
  verifiedTo: number;
  /** The first sequence with an authenticated seal. Null if the chain has no key yet. */
  keyedFrom: number | null;
  /** Whether the verification reached the end of the chain or a broken link. */
  complete: boolean;
  firstBroken: BrokenLink | null;
}

/**
 * Recomputes and checks the hashes and `mac`s of at most `first` links. Begins after the sequence `after`. At the end of the chain, checks
 * that no link is missing. Takes no locks. Events that are sealed meanwhile do no harm: seals never change, and each statement sees one
 * state.
 */
export async function verifyChain(
  reader: EntityManager,
  keys: ChainKeys,
  chainId: string,
  { after = 0, first = Infinity } = {},
): Promise<Verification> {
  const end = await endOf(reader, keys, chainId);
  let last: Link = BEFORE_THE_FIRST;
  let position = 0;
  let checked = 0;
  const keyedFrom = end.key?.from ?? null;
  const found = (complete: boolean, firstBroken: BrokenLink | null): Verification => {
    return { checked, verifiedTo: last.sequence, keyedFrom, complete, firstBroken };
  };
  const broken = (link: BrokenLink): Verification => found(true, link);
  if (end.keyIsGone) return broken({ sequence: 1, eventId: null, reason: 'the key of the chain is missing or was changed' });
  if (after > 0) {
    const seal = await reader.findOneBy(AuditSeal, { chainId, sequence: after });
    if (!seal) return broken({ sequence: after, eventId: null, reason: 'the seal is missing' });
    [last, position] = [seal, seal.position];
  }
  while (last.sequence < end.newest && checked < first) {
    const where = { chainId, sequence: Between(last.sequence + 1, end.newest) };
    const seals = await reader.find(AuditSeal, { where, order: { sequence: 'ASC' }, take: Math.min(PAGE, first - checked) });
    const events = new Map((await eventsById(reader, seals.map(({ eventId }) => eventId))).map((event) => [event.id, event]));
    for (const seal of seals) {
      if (seal.sequence !== last.sequence + 1) return broken({ sequence: last.sequence + 1, eventId: null, reason: 'the seal is missing' });
      const reason = faultOf(seal, events.get(seal.eventId), last, position) ?? forgeryOf(seal, end);
      if (reason !== undefined) return broken({ sequence: seal.sequence, eventId: seal.eventId, reason });
      [last, position] = [seal, seal.position];
      checked += 1;
    }
    if (seals.length === 0) return broken({ sequence: last.sequence + 1, eventId: null, reason: 'the seal is missing' });
  }
  if (last.sequence < end.newest) return found(false, null);
  return found(true, missingAfter(chainId, last, end) ?? null);
}

function faultOf(seal: AuditSeal, event: EventRow | undefined, previous: Link, position: number): string | undefined {
  if (seal.position <= position) return 'the seal is out of order';
  if (!event) return 'the event is missing';
  if (seal.hash !== hashOf(seal.chainId, previous, event)) return 'the event and its seal do not match: one of the two was changed';
  return undefined;
}

/** Checks the `mac`. An attacker who has only the database can recompute hashes, but not a `mac`. */
function forgeryOf({ chainId, sequence, hash, mac }: AuditSeal, { key, adopts }: ChainEnd): string | undefined {
  if (!key || sequence < key.from) return undefined;
  if (mac === null && adopts) return undefined; // a node of the previous version has just sealed it
  const isAuthentic = mac === macOf(key, chainId, { sequence, hash });
  return isAuthentic ? undefined : 'the seal is not authentic: it was made without the key of the chain';
}

interface ChainEnd {
  /** The sequence of the newest seal. */
  newest: number;
  /** The end according to the row of the chain. Null if there is no row. */
  head: Link | null;
  /** Undefined if the chain is older than keys. */
  key: ChainKey | undefined;
  /** Whether the chain must have a key and it is missing. */
  keyIsGone: boolean;
  /** Whether seals of the previous version still get their `mac` later. */
  adopts: boolean;
}

interface EndRow {
  newest: unknown;
  sequence: unknown;
  hash: string | null;
  /** The wrapped key of the chain. */
  own: string | null;
  /** The wrapped key of the installation's chain. */
  installation: string | null;
}

/** Reads the end of a chain in one statement, so that all values belong to the same moment. */
async function endOf(reader: EntityManager, keys: ChainKeys, chainId: string): Promise<ChainEnd> {
  const of = (column: string) => `(SELECT ${column} FROM audit_chains WHERE id = ?)`;
  const [row] = await reader.query<EndRow[]>(
    `SELECT (SELECT MAX(sequence) FROM audit_seals WHERE chain_id = ?) AS newest, ${of('sequence')} AS sequence, ${of('hash')} AS hash,
      ${of('wrapped_key')} AS own, ${of('wrapped_key')} AS installation`,
    [chainId, chainId, chainId, chainId, INSTALLATION],
  );
  const hash = row?.hash ?? null;
  const [own, wrappedInstallation] = [row?.own ?? null, row?.installation ?? null];
  const [key, installation] = [keys.open(chainId, own), keys.open(INSTALLATION, wrappedInstallation)];
  const adopts = wrappedInstallation === null || (installation?.adoptsUntil ?? 0) > 0;
  const newest = Number(row?.newest ?? 0);
  const keyIsGone = hash !== null && newest > 0 && !key && (own !== null || !adopts);
  return { newest, head: hash === null ? null : { sequence: Number(row?.sequence), hash }, key, keyIsGone, adopts };
}

/** Finds a missing link at the end of a chain. All its seals were checked before. */
function missingAfter(chainId: string, last: Link, { head }: ChainEnd): BrokenLink | undefined {
  const sequence = last.sequence + 1;
  if (!head && (last.sequence > 0 || chainId === INSTALLATION)) {
    return { sequence, eventId: null, reason: 'the head of the chain is missing' };
  }
  if (head && head.sequence > last.sequence) return { sequence, eventId: null, reason: 'this seal and all later seals are missing' };
  const isChanged = head && (head.sequence < last.sequence || head.hash !== last.hash);
  if (isChanged) return { sequence, eventId: null, reason: 'the head of the chain was changed' };
  return undefined;
}

/** Finds an event of a chain that is neither sealed nor in the queue. Reads all events, so use it in commands and not in requests. */
export async function lostEvent(reader: EntityManager, chainId: string): Promise<Omit<BrokenLink, 'sequence'> | undefined> {
  const [unsealed] = await reader.query<{ id: string }[]>(
    `SELECT id FROM audit_events e WHERE ${chainId === INSTALLATION ? 'workspace_id IS NULL' : 'workspace_id = ?'}
     AND NOT EXISTS (SELECT 1 FROM audit_seals s WHERE s.event_id = e.id)
     AND NOT EXISTS (SELECT 1 FROM unsealed_events u WHERE u.event_id = e.id) LIMIT 1`,
    chainId === INSTALLATION ? [] : [chainId],
  );
  if (unsealed) return { eventId: unsealed.id, reason: 'the event is neither sealed nor waiting to be sealed' };
  if (chainId !== INSTALLATION) return undefined;
  // Reported for the installation only, because without the event its workspace is unknown
  const [gone] = await reader.query<{ id: string }[]>(
    `SELECT event_id AS id FROM unsealed_events u
     WHERE NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.id = u.event_id) ORDER BY position LIMIT 1`,
  );
  return gone && { eventId: gone.id, reason: 'the event was waiting to be sealed, and is missing' };
}
