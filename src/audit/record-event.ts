import type { EntityManager } from 'typeorm';
import { newId } from '../lib/id';
import { AuditEvent } from './event.entity';
import { UnsealedEvent } from './seal.entities';

/** Who acts, and from where: what every service that changes something is told. */
export interface Origin {
  actor: { kind: string; id: string };
  ip: string | null;
  userAgent: string | null;
  /** The right to do this once, where whoever asks may ask again. */
  claim?: Claim | undefined;
}

/** The right to do something once. It is used up in the transaction of the deed: that is undone where somebody else has the right by now. */
export interface Claim {
  useUp(tx: EntityManager, deed: Pick<EventDraft, 'subject' | 'at'>): Promise<void>;
}

export interface EventDraft extends Origin {
  /** Noun and deed, such as `key.revoked`. */
  action: string;
  subject: { id: string; workspaceId: string | null };
  before?: Record<string, unknown> | null;
  after?: Record<string, unknown> | null;
  at: Date;
}

// Names under which a secret could slip in. None is handed in where events are written; this is the net below.
const SECRET = /secret|digest|pepper|password|token/i;

/**
 * Writes an event in the transaction of what it tells of: both are there, or neither is; and where it may be done once, that is used up with
 * it. No secret passes. A sealer takes it from there.
 */
export async function recordEvent(tx: EntityManager, draft: EventDraft): Promise<void> {
  const id = newId('evt', draft.at.getTime());
  await tx.insert(AuditEvent, {
    id,
    workspaceId: draft.subject.workspaceId,
    actorKind: draft.actor.kind,
    actorId: draft.actor.id,
    action: draft.action,
    subjectId: draft.subject.id,
    ip: draft.ip,
    userAgent: draft.userAgent,
    before: withoutSecrets(draft.before),
    after: withoutSecrets(draft.after),
    createdAt: draft.at,
  });
  await tx.insert(UnsealedEvent, { eventId: id });
  await draft.claim?.useUp(tx, draft);
}

function withoutSecrets(properties: Record<string, unknown> | null | undefined): Record<string, never> | null {
  if (!properties) return null;
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !SECRET.test(name))) as Record<string, never>;
}
