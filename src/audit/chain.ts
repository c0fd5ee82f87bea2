import { createHash } from 'node:crypto';
import type { AuditEvent } from './event.entity';

/** The chain of the events that concern no workspace. */
export const INSTALLATION = 'installation';

/** An event as its columns have it, the JSON of `before` and `after` as text. */
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

/** Every column of an event, in the order in which its hash takes them. */
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

/** A place in a chain, and the hash there. */
export interface Link {
  sequence: number;
  hash: string;
}

/** What comes before the first event of a chain. */
export const BEFORE_THE_FIRST: Link = { sequence: 0, hash: '' };

export const chainOf = (event: Pick<EventRow, 'workspaceId'>): string => event.workspaceId ?? INSTALLATION;

/**
 * The hash of an event that follows `previous` in a chain: SHA-256, in hex, of the JSON array of the chain, the sequence, the hash
 * before and the event's columns, without blanks. docs/exports-and-audit-trail.md promises this text to whoever verifies an export.
 */
export function hashOf(chainId: string, previous: Link, event: EventRow): string {
  const text = JSON.stringify([chainId, previous.sequence + 1, previous.hash, ...EVENT_COLUMNS.map((column) => event[column])]);
  return createHash('sha256').update(text).digest('hex');
}
