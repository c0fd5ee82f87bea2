import type { CredentialKind } from '../access/secret';
import type { KeptBytes } from './kept-bytes';
import type { RateLimit } from './rate-limit';
import type { Sharer } from './shares';

/** How a call names whoever makes it, and for which project. */
export interface CredentialRef {
  credentialKind: CredentialKind;
  /** Of the secret that it brought. */
  digest: string;
  /** The project that it names, where its kind of credential may work in several; else null. */
  namedProjectId: string | null;
}

/** Refs that are equal have the same. */
export const credentialKey = ({ digest, namedProjectId }: CredentialRef): string => (namedProjectId === null ? digest : `${digest} ${namedProjectId}`);

/** A call that passed parsing; what the gate needs to decide about it. */
export interface Call extends CredentialRef {
  /** The project that it names, whatever its credential; null where it names none. */
  statedProjectId: string | null;
  service: string;
  action: string;
  /** A UUID in lower case: the caller's choice, or this server's. */
  requestId: string;
  /** SHA-256 of service and raw body where the caller chose the requestId; null where it did not, and nothing is kept. */
  fingerprint: string | null;
  /** Null where it is not known; then no block holds it. */
  ip: string | null;
  userAgent: string | null;
  /** By `performance.now()`: when its headers came, which its log row counts from. */
  arrivedAt: number;
  /** By the same clock: when all of it had come, and it began to wait to be judged. */
  waitsSince: number;
  /** Its project's, once that is known. */
  kept: KeptBytes;
  /** The project among whose calls in flight it has a place; null where it has none yet. */
  placeInProject: Sharer | null;
}

/** A credential as it was found on the primary, whatever its kind, with the project that a call is for and that one's limit. */
export interface Credential extends CredentialRef {
  secretGraceUntil: number | null;
  secretEndedAt: number | null;
  id: string;
  name: string;
  environment: 'LIVE' | 'TEST';
  permissions: readonly string[];
  /** What an access token of a service account is for; null of all else. */
  scopes: readonly string[] | null;
  allowedIps: string[];
  enabled: boolean;
  expiresAt: number | null;
  revokedAt: number | null;
  workspaceId: string;
  /** Null where it has no project to work in: it may not work in the one that was named, or none was named and it may work in several. */
  projectId: string | null;
  /** These are the project's, and say nothing where there is none. */
  galleryMode: string;
  archivedAt: number | null;
  limit: RateLimit;
}

/** One that has a project. */
export type PlacedCredential = Credential & { projectId: string };

export const isPlaced = (credential: Credential): credential is PlacedCredential => credential.projectId !== null;

/** An enabled action, as the same read found it. */
export interface ActionFacts {
  service: string;
  name: string;
  priceMicroCredits: number;
  permission: string;
  upstreamUrl: string | null;
  timeoutMs: number;
  passStatuses: readonly number[];
}

export interface Facts {
  credential: Credential | undefined;
  action: ActionFacts | undefined;
}
