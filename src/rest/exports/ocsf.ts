import { INSTALLATION } from '../../audit/event-hash';
import type { MissingEvent, SealedEvent } from '../../audit/trail';

// Writes audit events in the Open Cybersecurity Schema Framework (OCSF), version 1.3.0, which many SIEM tools read.

const VERSION = '1.3.0';
const PRODUCT = { name: 'Tollgate', vendor_name: 'Tollgate' };

interface OcsfClass {
  category_uid: number;
  class_uid: number;
  /** Activity by the last part of an action's name (the deed). Any other deed is OTHER_ACTIVITY. */
  activities: Record<string, number>;
}

const OTHER_ACTIVITY = 99;
const LOGON = 1;
const LOGOFF = 2;
const CREATE = 1;
const READ = 2;
const UPDATE = 3;
const DELETE = 4;

const AUTHENTICATION: OcsfClass = {
  category_uid: 3,
  class_uid: 3002,
  activities: { started: LOGON, refused: LOGON, ended: LOGOFF },
};

const API_ACTIVITY: OcsfClass = {
  category_uid: 6,
  class_uid: 6003,
  activities: {
    created: CREATE,
    minted: CREATE,
    issued: CREATE,
    invited: CREATE,
    joined: CREATE,
    given: CREATE,
    made: CREATE,
    enabled: CREATE, // a second factor, which did not exist before
    updated: UPDATE,
    disabled: UPDATE,
    rotated: UPDATE,
    'role-changed': UPDATE,
    changed: UPDATE,
    replaced: UPDATE,
    reset: UPDATE,
    'topped-up': UPDATE,
    allocated: UPDATE,
    adjusted: UPDATE,
    refunded: UPDATE,
    archived: DELETE,
    revoked: DELETE,
    withdrawn: DELETE,
    removed: DELETE,
    deleted: DELETE,
  },
};

/** All deeds with an activity, so that a test can compare them with the existing events. */
export const OCSF_DEEDS = { authentication: Object.keys(AUTHENTICATION.activities), apiActivity: Object.keys(API_ACTIVITY.activities) };

/** OCSF user type by kind of actor. All other kinds are Other, and `type` names the kind. */
const USER_TYPES: Record<string, number> = { USER: 1, OPERATOR: 2, SYSTEM: 3 };
const OTHER_USER = 99;

const INFORMATIONAL = 1;
const SUCCESS = 1;
const FAILURE = 2;

/** API Activity requires `src_endpoint` with at least one attribute, even if the address is unknown. */
const UNKNOWN_ENDPOINT = { name: 'unknown' };

const userOf = (uid: string, type: string) => ({ uid, type, type_id: USER_TYPES[type] ?? OTHER_USER });

/**
 * Converts an event to OCSF: to Authentication if it is about a session, otherwise to API Activity. `changes` go into `unmapped`, because
 * OCSF has no field for them.
 */
export function toOcsf(event: SealedEvent, changes: Record<'before' | 'after', unknown>): Record<string, unknown> {
  const { noun, deed } = partsOf(event.action);
  return {
    metadata: { ...metadataOf(event, event.workspaceId), uid: event.id },
    time: event.createdAt,
    ...(noun === 'session' ? activityOf(AUTHENTICATION, deed) : activityOf(API_ACTIVITY, deed)),
    severity_id: INFORMATIONAL,
    status_id: SUCCESS,
    actor: { user: userOf(event.actorId, event.actorKind) },
    ...(noun === 'session'
      ? { service: { name: PRODUCT.name }, ...(deed === 'refused' ? refusalOf(event, changes.after) : sessionOf(event)) }
      : { api: { operation: event.action }, resources: [{ uid: event.subjectId, type: noun }] }),
    src_endpoint: event.ip === null ? UNKNOWN_ENDPOINT : { ip: event.ip },
    ...(event.userAgent !== null && { http_request: { user_agent: event.userAgent } }),
    unmapped: { action: event.action, hash: event.hash, ...changes },
  };
}

/** Reports a sealed event that is missing, as a failed attempt to read it at `readAt`. */
export function goneAsOcsf(entry: MissingEvent, readAt: Date): Record<string, unknown> {
  return {
    metadata: metadataOf(entry, entry.chainId === INSTALLATION ? null : entry.chainId),
    time: readAt.getTime(),
    ...activityOf({ ...API_ACTIVITY, activities: { read: READ } }, 'read'),
    severity_id: INFORMATIONAL,
    status_id: FAILURE,
    message: 'The event is missing',
    actor: { user: userOf('export', 'SYSTEM') },
    api: { operation: 'event.read' },
    src_endpoint: UNKNOWN_ENDPOINT,
    unmapped: { hash: entry.hash, missing: true },
  };
}

const metadataOf = ({ sequence }: { sequence: number }, workspaceId: string | null) => ({
  version: VERSION,
  product: PRODUCT,
  sequence,
  ...(workspaceId !== null && { tenant_uid: workspaceId }),
});

function activityOf({ activities, ...classIds }: OcsfClass, deed: string): Record<string, unknown> {
  const activity = Object.hasOwn(activities, deed) ? (activities[deed] as number) : OTHER_ACTIVITY;
  const other = activity === OTHER_ACTIVITY && { activity_name: deed };
  return { ...classIds, activity_id: activity, ...other, type_uid: classIds.class_uid * 100 + activity };
}

/** For a person who starts or ends their own session. */
const sessionOf = (event: SealedEvent) => ({ user: userOf(event.actorId, event.actorKind), session: { uid: event.subjectId } });

/** For a refused sign-in. There is no session, and the subject is the person of the account. */
function refusalOf(event: SealedEvent, after: unknown) {
  const reason = (after as { reason?: unknown } | null)?.reason;
  return { status_id: FAILURE, ...(typeof reason === 'string' && { status_detail: reason }), user: userOf(event.subjectId, 'USER') };
}

function partsOf(action: string): { noun: string; deed: string } {
  const [noun = '', ...deed] = action.split('.');
  return { noun, deed: deed.join('.') };
}
