import { createHash } from 'node:crypto';
import type { AuditEvent } from './event.entity';

/** The id of the chain for events outside all workspaces. */
export const INSTALLATION = 'installation';

/** The column values of an event. `before` and `after` are JSON texts. */
export interface EventRow {
  id: string;
  workspaceId: string | null;
  actorKind: string;
  actorId: string;
  action: string;
  subjectId: string;
  ip: string | null;
  userAgent: string | null;
  before: string | null;
  after: string | null;
  /** Milliseconds since 1970. */
  createdAt: number;
}

/** All columns of an event, in the order of its hash. */
export const EVENT_COLUMNS = [
  'id',
  'workspaceId',
  'actorKind',
  'actorId',
  'action',
  'subjectId',
  'ip',
  'userAgent',
  'before',
  'after',
  'createdAt',
] as const satisfies (keyof AuditEvent & keyof EventRow)[];

/** A place in a chain, and its hash. */
export interface Link {
  sequence: number;
  hash: string;
}

/** The link before the first event of a chain. */
export const BEFORE_THE_FIRST: Link = { sequence: 0, hash: '' };

export const chainOf = (event: Pick<EventRow, 'workspaceId'>): string => event.workspaceId ?? INSTALLATION;

/**
 * Computes the hash of an event that follows `previous` in a chain: SHA-256, in hex, of a JSON array without blanks. The array has the
 * chain, the sequence, the previous hash and the columns of the event. docs/exports-and-audit-trail.md promises this text to clients that
 * verify an export.
 */
export function hashOf(chainId: string, previous: Link, event: EventRow): string {
  const text = JSON.stringify([chainId, previous.sequence + 1, previous.hash, ...EVENT_COLUMNS.map((column) => event[column])]);
  return createHash('sha256').update(text).digest('hex');
}
