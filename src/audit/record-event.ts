import type { EntityManager } from 'typeorm';
import { newId } from '../lib/id';
import { AuditEvent } from './event.entity';
import { UnsealedEvent } from './seal.entities';

/** The actor of a change and the request that it came from. Each service that changes something receives it. */
export interface Origin {
  actor: { kind: string; id: string };
  ip: string | null;
  userAgent: string | null;
  /** The right to make this change once. Set if the request has an Idempotency-Key. */
  claim?: Claim | undefined;
}

/** The right to make a change once. It is used up in the transaction of the change, which rolls back if another request has the right. */
export interface Claim {
  useUp(tx: EntityManager, change: Pick<EventDraft, 'subject' | 'at'>): Promise<void>;
}

export interface EventDraft extends Origin {
  /** The kind of object and the action, such as `key.revoked`. */
  action: string;
  subject: { id: string; workspaceId: string | null };
  before?: Record<string, unknown> | null;
  after?: Record<string, unknown> | null;
  at: Date;
}

// Names of properties that could hold a secret. Callers do not pass any; this is a safety net.
const SECRET = /secret|digest|pepper|password|token/i;

/**
 * Writes an event in the transaction of its change, so that both are committed or neither is. If the origin has a claim, uses it up in the
 * same transaction. Removes properties that could hold a secret. A sealer later adds the event to the chain.
 */
export async function recordEvent(tx: EntityManager, draft: EventDraft): Promise<void> {
  await recordEvents(tx, [draft]);
  await draft.claim?.useUp(tx, draft);
}

/** The same for many changes, in two statements. Uses up no claim. */
export async function recordEvents(tx: EntityManager, drafts: EventDraft[]): Promise<void> {
  const events = drafts.map(rowOf);
  await tx.insert(AuditEvent, events);
  await tx.insert(UnsealedEvent, events.map(({ id }) => ({ eventId: id })));
}

function rowOf({ subject, actor, action, ip, userAgent, before, after, at }: EventDraft) {
  return {
    id: newId('evt', at.getTime()),
    workspaceId: subject.workspaceId,
    actorKind: actor.kind,
    actorId: actor.id,
    action,
    subjectId: subject.id,
    ip,
    userAgent,
    before: withoutSecrets(before),
    after: withoutSecrets(after),
    createdAt: at,
  };
}

function withoutSecrets(properties: Record<string, unknown> | null | undefined): Record<string, never> | null {
  if (!properties) return null;
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !SECRET.test(name))) as Record<string, never>;
}
