import { isIdentityScope, narrowedTo } from '../../access/permissions';
import { mayGrant } from '../../access/policies';
import { builtInRole } from '../../access/roles/role.entity';
import type { CredentialKind } from '../../access/secret';
import { credentialKey, type CredentialRef, type Credential } from '../call';
import type { SqlRow } from './tick-reads';

// Reads the credentials of a tick. Each kind has separate tables and a separate SELECT, and all SELECTs return the same columns. A tick
// runs the SELECT of a kind only if one of its calls has a credential of that kind.

/** The SELECT of a kind of credential, and the conversion of its rows. `listed` makes a list of SQL literals. */
interface CredentialSource {
  select(credentials: CredentialRef[], listed: (texts: string[]) => string): string;
  toFacts(credentials: CredentialRef[], rows: SqlRow[]): Credential[];
}

const PROJECT_COLUMNS = `p.id AS projectId, p.gallery_mode AS galleryMode, p.archived_at AS archivedAt,
  p.sustained_rps AS sustainedRps, p.burst AS burst`;

/** The role of a credential. It grants administrative permissions only. */
const ROLE_COLUMNS = 'r.permissions AS rolePermissions, k.role_id AS roleId';

const digestsOf = (credentials: CredentialRef[]): string[] => credentials.map(({ digest }) => digest);

const API_KEYS: CredentialSource = {
  select: (credentials, listed) => `SELECT s.digest AS digest, s.grace_until AS secretGraceUntil, s.ended_at AS secretEndedAt,
  k.id AS id, k.name AS name, k.environment AS environment, k.permissions AS permissions, k.allowed_ips AS allowedIps,
  k.enabled AS enabled, k.expires_at AS expiresAt, k.revoked_at AS revokedAt, k.workspace_id AS workspaceId,
  ${ROLE_COLUMNS}, ${PROJECT_COLUMNS}
  FROM key_secrets s JOIN api_keys k ON k.id = s.key_id JOIN projects p ON p.id = k.project_id LEFT JOIN roles r ON r.id = k.role_id
  WHERE s.digest IN (${listed(digestsOf(credentials))})`,
  toFacts: (_credentials, rows) => rows.map((row) => withRole(toFacts('API_KEY', null, row), row)),
};

const GRANTS = '(SELECT COUNT(*) FROM service_account_projects o WHERE o.account_id = k.id)';

// A service account works in the project that the call names, or in its only project. The SELECT reads just the named projects, so that an
// account with many projects does not add rows to a tick.
const SERVICE_ACCOUNTS: CredentialSource = {
  select: (credentials, listed) => {
    const named = credentials.flatMap(({ namedProjectId }) => namedProjectId ?? []);
    const orNamed = named.length > 0 ? ` OR g.project_id IN (${listed(named)})` : '';
    return `SELECT s.digest AS digest, s.grace_until AS secretGraceUntil, s.ended_at AS secretEndedAt,
  s.scopes AS scopes, k.id AS id, k.name AS name, 'LIVE' AS environment, k.permissions AS permissions, '[]' AS allowedIps,
  k.enabled AS enabled, NULL AS expiresAt, NULL AS revokedAt, k.workspace_id AS workspaceId,
  ${ROLE_COLUMNS}, ${PROJECT_COLUMNS}, ${GRANTS} AS grants
  FROM service_account_secrets s JOIN service_accounts k ON k.id = s.account_id LEFT JOIN roles r ON r.id = k.role_id
  LEFT JOIN service_account_projects g ON g.account_id = k.id AND (${GRANTS} = 1${orNamed})
  LEFT JOIN projects p ON p.id = g.project_id WHERE s.digest IN (${listed(digestsOf(credentials))})`;
  },
  toFacts: (credentials, rows) =>
    credentials.flatMap(({ digest, namedProjectId }) => {
      const ofSecret = rows.filter((row) => row.digest === digest);
      const [first] = ofSecret;
      if (!first) return [];
      const inProject = ofSecret.find(({ grants, projectId }) =>
        namedProjectId === null ? Number(grants) === 1 : projectId === namedProjectId,
      );
      const facts = withRole(toFacts('SERVICE_ACCOUNT', namedProjectId, inProject ?? { ...first, ...NO_PROJECT }), first);
      const scopes = first.scopes === null ? null : (JSON.parse(first.scopes as string) as string[]);
      return [{ ...facts, scopes, permissions: narrowedTo(scopes, facts.permissions) }];
    }),
};

const NO_PROJECT = { projectId: null, galleryMode: '', archivedAt: null, sustainedRps: 0, burst: 0 };

/** Access tokens. A token works only while its consent, its client and the person's membership last, within the person's role. */
const OAUTH_CLIENTS: CredentialSource = {
  select: (credentials, listed) => `SELECT t.digest AS digest, NULL AS secretGraceUntil, t.ended_at AS secretEndedAt,
  c.id AS id, a.name AS name, 'LIVE' AS environment, t.scopes AS permissions, '[]' AS allowedIps,
  CASE WHEN m.user_id IS NULL THEN 0 ELSE 1 END AS enabled, t.expires_at AS expiresAt, COALESCE(c.ended_at, a.deleted_at) AS revokedAt,
  c.workspace_id AS workspaceId, ${PROJECT_COLUMNS}, m.role_id AS roleId, r.permissions AS rolePermissions,
  CASE WHEN w.requires_second_factor = 1 AND u.totp_enabled_at IS NULL THEN 1 ELSE 0 END AS shutOut
  FROM oauth_tokens t JOIN consents c ON c.id = t.consent_id JOIN oauth_clients a ON a.id = c.client_id JOIN people u ON u.id = c.user_id
  JOIN workspaces w ON w.id = c.workspace_id JOIN projects p ON p.id = c.project_id
  LEFT JOIN memberships m ON m.user_id = c.user_id AND m.workspace_id = c.workspace_id LEFT JOIN roles r ON r.id = m.role_id
  WHERE t.kind = 'AccessToken' AND t.digest IN (${listed(digestsOf(credentials))})`,
  toFacts: (_credentials, rows) =>
    rows.map((row) => {
      const facts = toFacts('OAUTH_CLIENT', null, row);
      return { ...facts, permissions: facts.permissions.filter((scope) => !isIdentityScope(scope) && mayGrantByRole(row, scope)) };
    }),
};

/** Returns true if the person who consented may still grant this scope. */
function mayGrantByRole(row: SqlRow, scope: string): boolean {
  const workspaceId = row.workspaceId as string;
  const permissionsByWorkspace = new Map([[workspaceId, Number(row.shutOut) === 1 ? [] : ofRole(row)]]);
  return mayGrant({ kind: 'USER', id: '', name: '', sessionId: '', permissionsByWorkspace }, scope, workspaceId);
}

/** The permissions of the role in a row; empty without a role. */
function ofRole({ roleId, rolePermissions }: SqlRow): readonly string[] {
  if (roleId === null) return [];
  const ofOwnRole = (): string[] => (rolePermissions === null ? [] : (JSON.parse(rolePermissions as string) as string[]));
  return builtInRole(roleId as string)?.permissions ?? ofOwnRole();
}

/** Adds the permissions of the credential's role. */
function withRole(facts: Credential, row: SqlRow): Credential {
  return row.roleId === null ? facts : { ...facts, permissions: [...facts.permissions, ...ofRole(row)] };
}

const SOURCES: Record<CredentialKind, CredentialSource> = {
  API_KEY: API_KEYS,
  SERVICE_ACCOUNT: SERVICE_ACCOUNTS,
  OAUTH_CLIENT: OAUTH_CLIENTS,
};

/** The SELECT of each kind of credential that occurs in `credentials`. */
export function credentialSelects(credentials: CredentialRef[], listed: (texts: string[]) => string): Map<CredentialKind, string> {
  const selects = new Map<CredentialKind, string>();
  for (const [kind, ofKind] of byKind(credentials)) selects.set(kind, SOURCES[kind].select(ofKind, listed));
  return selects;
}

/** Converts the rows of these SELECTs to credentials, by `credentialKey`. A credential without a row is missing. */
export function toCredentials(credentials: CredentialRef[], rowsOf: (kind: CredentialKind) => SqlRow[]): Map<string, Credential> {
  const found = new Map<string, Credential>();
  for (const [kind, ofKind] of byKind(credentials)) {
    for (const facts of SOURCES[kind].toFacts(ofKind, rowsOf(kind))) found.set(credentialKey(facts), facts);
  }
  return found;
}

function byKind(credentials: CredentialRef[]): Map<CredentialKind, CredentialRef[]> {
  const kinds = new Map<CredentialKind, CredentialRef[]>();
  for (const credential of credentials) {
    const known = kinds.get(credential.credentialKind);
    if (known) known.push(credential);
    else kinds.set(credential.credentialKind, [credential]);
  }
  return kinds;
}

const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));

function toFacts(credentialKind: CredentialKind, namedProjectId: string | null, row: SqlRow): Credential {
  return {
    credentialKind,
    digest: row.digest as string,
    namedProjectId,
    secretGraceUntil: numberOrNull(row.secretGraceUntil),
    secretEndedAt: numberOrNull(row.secretEndedAt),
    id: row.id as string,
    name: row.name as string,
    environment: row.environment as Credential['environment'],
    permissions: JSON.parse(row.permissions as string) as string[],
    scopes: null,
    allowedIps: JSON.parse(row.allowedIps as string) as string[],
    enabled: Boolean(row.enabled),
    expiresAt: numberOrNull(row.expiresAt),
    revokedAt: numberOrNull(row.revokedAt),
    workspaceId: row.workspaceId as string,
    projectId: row.projectId as string | null,
    galleryMode: row.galleryMode as string,
    archivedAt: numberOrNull(row.archivedAt),
    limit: { sustainedRps: Number(row.sustainedRps), burst: Number(row.burst) },
  };
}
