import type { RateLimit } from './rate-limit';

/** A call that passed parsing; what the gate needs to decide about it. */
export interface Call {
  /** Of the secret that it brought. */
  digest: string;
  service: string;
  action: string;
  /** A UUID in lower case: the caller's choice, or this server's. */
  requestId: string;
  /** SHA-256 of service and raw body where the caller chose the requestId; null where it did not, and nothing is kept. */
  fingerprint: string | null;
  /** Null where it is not known; then no block holds it. */
  ip: string | null;
  userAgent: string | null;
  /** By `performance.now()`. */
  arrivedAt: number;
  /** The project among whose calls in flight it has a place; null where it has none yet. */
  placeInProject: string | null;
}

/** A credential as it was found on the primary, with its project and the project's limit. */
export interface KeyFacts {
  digest: string;
  secretGraceUntil: number | null;
  secretEndedAt: number | null;
  keyId: string;
  keyName: string;
  environment: 'LIVE' | 'TEST';
  permissions: string[];
  allowedIps: string[];
  enabled: boolean;
  expiresAt: number | null;
  revokedAt: number | null;
  projectId: string;
  workspaceId: string;
  galleryMode: string;
  archivedAt: number | null;
  limit: RateLimit;
}

/** An enabled action, as the same read found it. */
export interface ActionFacts {
  service: string;
  name: string;
  priceMicroCredits: number;
  permission: string;
  upstreamUrl: string | null;
  timeoutMs: number;
}

export interface Facts {
  key: KeyFacts | undefined;
  action: ActionFacts | undefined;
}
