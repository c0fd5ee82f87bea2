import type { SealedEvent } from '../audit/trail';

// Events in the Open Cybersecurity Schema Framework, version 1.3.0, for tools that know no other.

const VERSION = '1.3.0';
const PRODUCT = { name: 'Tollgate', vendor_name: 'Tollgate' };

interface OcsfClass {
  category_uid: number;
  class_uid: number;
  /** The activity of each deed; any other is OTHER_ACTIVITY. */
  activities: Record<string, number>;
}

const OTHER_ACTIVITY = 99;
const LOGON = 1;
const LOGOFF = 2;
const CREATE = 1;
const UPDATE = 3;
const DELETE = 4;

const AUTHENTICATION: OcsfClass = {
  category_uid: 3,
  class_uid: 3002,
  activities: { started: LOGON, created: LOGON, 'signed-in': LOGON, ended: LOGOFF, revoked: LOGOFF, 'signed-out': LOGOFF },
};

const API_ACTIVITY: OcsfClass = {
  category_uid: 6,
  class_uid: 6003,
  activities: {
    created: CREATE,
    minted: CREATE,
    invited: CREATE,
    updated: UPDATE,
    rotated: UPDATE,
    'topped-up': UPDATE,
    allocated: UPDATE,
    adjusted: UPDATE,
    refunded: UPDATE,
    archived: DELETE,
    revoked: DELETE,
    removed: DELETE,
    deleted: DELETE,
  },
};

/** OCSF's type of a user, by the kind of an actor; anything else is Other. */
const USER_TYPES: Record<string, number> = { USER: 1, OPERATOR: 2, SYSTEM: 3, API_KEY: 4 };
const OTHER_USER = 99;

const INFORMATIONAL = 1;
const SUCCESS = 1;

/** An event as OCSF has it: Authentication for what becomes of sessions, API Activity for all else. `changes` has no place there and is unmapped. */
export function toOcsf(event: SealedEvent, changes: Record<string, unknown>): Record<string, unknown> {
  const { noun, deed } = partsOf(event.action);
  const kind = noun === 'session' || deed.startsWith('signed-') ? AUTHENTICATION : API_ACTIVITY;
  const { activities, ...classIds } = kind;
  const activity = Object.hasOwn(activities, deed) ? (activities[deed] as number) : OTHER_ACTIVITY;
  const user = { uid: event.actorId, type: event.actorKind, type_id: USER_TYPES[event.actorKind] ?? OTHER_USER };
  return {
    metadata: { version: VERSION, product: PRODUCT, uid: event.id, sequence: event.sequence, ...(event.workspaceId !== null && { tenant_uid: event.workspaceId }) },
    time: event.createdAt,
    ...classIds,
    activity_id: activity,
    ...(activity === OTHER_ACTIVITY && { activity_name: deed }),
    type_uid: kind.class_uid * 100 + activity,
    severity_id: INFORMATIONAL,
    status_id: SUCCESS,
    actor: { user },
    ...(kind === AUTHENTICATION ? { user, service: { name: PRODUCT.name } } : { api: { operation: event.action }, resources: [{ uid: event.subjectId, type: noun }] }),
    ...(noun === 'session' && { session: { uid: event.subjectId } }),
    // Required of API Activity, with at least one attribute
    src_endpoint: event.ip === null ? { name: 'unknown' } : { ip: event.ip },
    ...(event.userAgent !== null && { http_request: { user_agent: event.userAgent } }),
    unmapped: { action: event.action, hash: event.hash, ...changes },
  };
}

function partsOf(action: string): { noun: string; deed: string } {
  const [noun = '', ...deed] = action.split('.');
  return { noun, deed: deed.join('.') };
}
