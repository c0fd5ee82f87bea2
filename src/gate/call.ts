import type { CredentialKind } from '../access/secret';
import type { UnitPrice, Usage } from '../actions/unit-prices';
import type { KeptBytes } from './load/kept-bytes';
import type { RateLimit } from './rate-limit';
import type { Sharer } from './load/shares';

/** The credential of a call, and the project that it names. */
export interface CredentialRef {
  credentialKind: CredentialKind;
  /** Digest of the call's secret. */
  digest: string;
  /** The project that the call names, if its kind of credential can work in several projects. Otherwise null. */
  namedProjectId: string | null;
}

/** A map key: equal for equal refs only. */
export const credentialKey = ({ digest, namedProjectId }: CredentialRef): string =>
  namedProjectId === null ? digest : `${digest} ${namedProjectId}`;

/** The version of a route that a request matched. */
export interface RouteVersion {
  id: string;
  version: number;
}

export const routeKey = ({ id, version }: RouteVersion): string => `${id} ${version}`;

/** A credential that verifies other credentials of its workspace. */
export interface Asker {
  id: string;
  workspaceId: string;
  ref: CredentialRef;
  /** The address of the request. */
  ip: string | null;
}

/** The question of a call that is not run here: another server asks whether the credential may call. */
export interface Verification {
  /**
   * `charge`: bills the call at once. `hold`: reserves its credits. `pass`: charges an action without prices by unit, and holds for every
   * other action. `peek`: does neither, and uses no rate. `credential`: checks the credential only, without an action.
   */
  mode: 'charge' | 'hold' | 'pass' | 'peek' | 'credential';
  /** Null: the operator, who may verify all credentials. */
  asker: Asker | null;
  usage: Usage | null;
  /** Further permissions that the credential must have. */
  permissions: readonly string[];
}

/** A parsed call: the properties that the gate needs to decide about it. */
export interface Call extends CredentialRef {
  /** The project that the call names, even if its credential works in one project only. Null if it names none. */
  statedProjectId: string | null;
  service: string;
  action: string;
  /** A UUID in lower case, chosen by the caller or by this server. */
  requestId: string;
  /** SHA-256 of service and raw body if the caller chose the requestId. Otherwise null, and the answer is not kept for repeats. */
  fingerprint: string | null;
  /** The caller's address. Null if unknown; then it is in no allowed block. */
  ip: string | null;
  userAgent: string | null;
  /** The seller's own name for the user behind the call. */
  subject?: string | undefined;
  /** Kept in the log. */
  metadata?: Record<string, string> | undefined;
  /** Absent if the call is to be run. */
  verification?: Verification | undefined;
  /** The route that chose the action. Absent if the call names its action. */
  route?: RouteVersion | undefined;
  /** Time until the hold expires, from its admission. Absent: the time limit of the action and HOLD_MARGIN_MS. */
  holdMs?: number | undefined;
  /** Time when the headers arrived, by `performance.now()`. `totalMs` of the log row counts from here. */
  arrivedAt: number;
  /** Time when the whole request had arrived and began to wait for a verdict, by the same clock. */
  waitsSince: number;
  /** Bytes in memory for the call. They count against its project once that is known. */
  kept: KeptBytes;
  /** The project that has given the call a place among its calls in flight. Null before that. */
  placeInProject: Sharer | null;
}

/** A credential of any kind, as read from the primary, with the project of the call and the project's rate limit. */
export interface Credential extends CredentialRef {
  secretGraceUntil: number | null;
  secretEndedAt: number | null;
  id: string;
  name: string;
  environment: 'LIVE' | 'TEST';
  permissions: readonly string[];
  /** The scopes of a service account's access token. Null for every other secret. */
  scopes: readonly string[] | null;
  allowedIps: string[];
  enabled: boolean;
  expiresAt: number | null;
  revokedAt: number | null;
  workspaceId: string;
  /** Null if the credential may not work in the named project, or if it can work in several projects and the call names none. */
  projectId: string | null;
  /** This property and the next two belong to the project, and have no meaning if `projectId` is null. */
  galleryMode: string;
  archivedAt: number | null;
  limit: RateLimit;
}

/** A credential with a project. */
export type PlacedCredential = Credential & { projectId: string };

export const isPlaced = (credential: Credential): credential is PlacedCredential => credential.projectId !== null;

/** An enabled action, as the tick read it. */
export interface ActionFacts {
  service: string;
  name: string;
  priceMicroCredits: number;
  unitPrices: readonly UnitPrice[];
  maxChargeMicroCredits: number | null;
  permission: string;
  upstreamUrl: string | null;
  timeoutMs: number;
  passStatuses: readonly number[];
}

export interface Facts {
  credential: Credential | undefined;
  action: ActionFacts | undefined;
}
