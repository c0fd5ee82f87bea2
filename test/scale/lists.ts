import type { Filled } from './fill';

/** A list with the query for one page. */
export interface ListCase {
  name: string;
  /** The query. PAGE stands for the arguments of the list. */
  query: string;
  args: string;
  variables(filled: Filled, rows: number): Record<string, unknown>;
  /** The index that the database should read. */
  index: string | RegExp;
  /** True if the page may be less than full, because its filter matches few or no rows. */
  isSparse?: true;
}

const NODES = { pageInfo: 'pageInfo { hasNextPage hasPreviousPage startCursor endCursor isCutShort }' };
const LOG = `nodes {
  id requestId createdAt service action outcome errorCode httpStatus chargedMicroCredits actionMs totalMs ip userAgent environment
} ${NODES.pageInfo}`;
const KEY = `nodes { id name hint environment allowedIps permissions createdAt expiresAt revokedAt rotatedAt } ${NODES.pageInfo}`;
const ENTRY = `nodes { id kind delta balanceAfter reference reason createdAt } ${NODES.pageInfo}`;
const EVENT = `nodes { id actorKind actorId action subjectId ip userAgent before after createdAt workspaceId } ${NODES.pageInfo}`;
const ACCOUNT = `nodes { id name hint permissions enabled rotationDays rotationDueAt createdAt } ${NODES.pageInfo}`;
const NAMED = `nodes { id name slug createdAt } ${NODES.pageInfo}`;

const ofWorkspace = (list: string) => `query ($ws: ID!, $filter: FILTER) { workspace(id: $ws) { ${list} } }`;
const ofProject = (list: string) => `query ($prj: ID!, $filter: FILTER) { project(id: $prj) { ${list} } }`;
const ofKey = (list: string) => `query ($key: ID!, $filter: FILTER) { key(id: $key) { ${list} } }`;
const ofAll = (list: string) => `query ($filter: FILTER) { ${list} }`;

type Filter = (filled: Filled, rows: number) => Record<string, unknown>;

/** Makes the case of a page of a hundred rows. */
function page(
  name: string,
  of: (list: string) => string,
  list: string,
  nodes: string,
  type: string,
  index: string | RegExp,
  more: { args?: string; filter?: Filter; isSparse?: true } = {},
): ListCase {
  const { args = 'first: 100', filter, isSparse } = more;
  return {
    name,
    query: of(`${list}(PAGE, filter: $filter) { ${nodes} }`).replace('FILTER', type),
    args,
    index,
    ...(isSparse && { isSparse }),
    variables: (filled, rows) => ({
      ws: filled.workspace.id,
      prj: filled.project.id,
      key: filled.key.id,
      filter: filter?.(filled, rows) ?? null,
    }),
  };
}

/** Makes the case of a page of a hundred rows of a list without a filter. */
function plain(name: string, lists: string, index: string): ListCase {
  return {
    name,
    query: `query ($ws: ID!) { workspace(id: $ws) { ${lists.replace('PAGE_INFO', NODES.pageInfo)} } }`,
    args: 'first: 100',
    index,
    variables: ({ workspace }) => ({ ws: workspace.id }),
  };
}

/** Lists that are read like another list, by the same index with another id. */
export const ALIKE: Record<string, string> = {
  'Wallet.ledger': 'Project.ledger',
  'ServiceAccount.requestLogs': 'ApiKey.requestLogs',
  'ServiceAccount.auditEvents': 'ApiKey.auditEvents',
  'Viewer.consents': 'OAuthClient.consents', // reads consents_by_user for one person
};

const byName = 'first: 100, orderBy: { field: NAME, direction: ASC }';
const LOGS = 'RequestLogFilter';
const never = { isSparse: true } as const;

/** Every list, with each filter and order that has a different plan. */
export const CASES: ListCase[] = [
  page('Workspace.requestLogs', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_workspace'),
  page('Workspace.requestLogs, the last', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_workspace', { args: 'last: 100' }),
  page('Workspace.requestLogs of a time span', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_workspace', {
    filter: ({ timeOf }, rows) => ({ from: timeOf(rows / 4), to: timeOf(rows / 2) }),
  }),
  page('Project.requestLogs', ofProject, 'requestLogs', LOG, LOGS, 'request_logs_by_project'),
  page('ApiKey.requestLogs', ofKey, 'requestLogs', LOG, LOGS, 'request_logs_by_credential'),
  page('Workspace.requestLogs by outcome', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_workspace', {
    filter: () => ({ outcome: ['FAILED'] }),
  }),
  page('Workspace.requestLogs by code and address', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_workspace', {
    filter: () => ({ errorCode: ['DEMO_FAILURE'], ip: ['10.0.0.0'] }),
  }),
  page('Workspace.requestLogs by charge', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_workspace', {
    filter: () => ({ minChargedMicroCredits: 3 }),
  }),
  page('Project.requestLogs by an unused action', ofProject, 'requestLogs', LOG, LOGS, 'request_logs_by_project', {
    filter: () => ({ action: ['demo.never'] }),
    ...never,
  }),
  page('Workspace.requestLogs of a key', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_credential', {
    filter: ({ key }) => ({ keyId: [key.id] }),
  }),
  page('Workspace.requestLogs of a key of another workspace', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_credential', {
    filter: () => ({ keyId: ['key_another'] }),
    ...never,
  }),
  page('Workspace.requestLogs of a project', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_project', {
    filter: ({ project }) => ({ projectId: [project.id] }),
  }),
  page('Workspace.requestLogs of a requestId', ofWorkspace, 'requestLogs', LOG, LOGS, 'request_logs_by_request_id', {
    filter: ({ requestIdOf }) => ({ requestId: requestIdOf(7) }),
    ...never,
  }),
  page('Project.ledger', ofProject, 'ledger', ENTRY, 'LedgerFilter', 'ledger_entries_by_age'),
  page('Project.ledger, the last', ofProject, 'ledger', ENTRY, 'LedgerFilter', 'ledger_entries_by_age', { args: 'last: 100' }),
  page('Project.ledger of one kind', ofProject, 'ledger', ENTRY, 'LedgerFilter', 'ledger_entries_by_kind', {
    filter: () => ({ kind: ['REFUND'] }),
  }),
  page('Project.ledger of two kinds', ofProject, 'ledger', ENTRY, 'LedgerFilter', 'ledger_entries_by_kind', {
    filter: () => ({ kind: ['REFUND', 'ALLOCATION'] }),
  }),
  page('Project.ledger, only positive amounts', ofProject, 'ledger', ENTRY, 'LedgerFilter', 'ledger_entries_by_age', {
    filter: () => ({ minDelta: 1 }),
  }),
  page('Workspace.keys', ofWorkspace, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_workspace'),
  page('Workspace.keys by name', ofWorkspace, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_name', { args: byName }),
  page('Project.keys', ofProject, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_project'),
  page('Project.keys by name', ofProject, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_name_in_project', { args: byName }),
  page('Workspace.keys by a text in the name', ofWorkspace, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_workspace', {
    filter: () => ({ name: 'KEY' }),
  }),
  page('Workspace.keys, disabled', ofWorkspace, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_workspace', {
    filter: () => ({ status: ['DISABLED'] }),
  }),
  page('Workspace.keys, active', ofWorkspace, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_workspace', {
    filter: () => ({ status: ['ACTIVE'] }),
  }),
  page('Workspace.keys used since a time', ofWorkspace, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_workspace', {
    filter: ({ timeOf }) => ({ lastUsedFrom: timeOf(0) }),
  }),
  page('Workspace.keys, never used', ofWorkspace, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_workspace', {
    filter: () => ({ used: false }),
  }),
  page('Workspace.keys of a project', ofWorkspace, 'keys', KEY, 'ApiKeyFilter', 'api_keys_by_project', {
    filter: ({ project }) => ({ projectId: [project.id] }),
  }),
  page('Workspace.projects', ofWorkspace, 'projects', NAMED, 'ProjectFilter', 'projects_living_by_age'),
  page('Workspace.projects by name', ofWorkspace, 'projects', NAMED, 'ProjectFilter', 'projects_living_by_name', { args: byName }),
  page('Workspace.projects with archived ones', ofWorkspace, 'projects', NAMED, 'ProjectFilter', 'projects_by_age', {
    args: 'first: 100, includeArchived: true',
  }),
  page('Workspace.projects by an unknown slug', ofWorkspace, 'projects', NAMED, 'ProjectFilter', 'projects_living_by_age', {
    filter: () => ({ slug: 'none' }),
    ...never,
  }),
  page('Query.workspaces', ofAll, 'workspaces', NAMED, 'WorkspaceFilter', 'workspaces_by_age'),
  page('Query.workspaces by name', ofAll, 'workspaces', NAMED, 'WorkspaceFilter', 'workspaces_by_name', { args: byName }),
  page('Query.auditEvents', ofAll, 'auditEvents', EVENT, 'AuditEventFilter', 'audit_events_by_age'),
  page('Query.auditEvents of a subject', ofAll, 'auditEvents', EVENT, 'AuditEventFilter', 'audit_events_by_subject', {
    filter: ({ key }) => ({ subjectId: [key.id] }),
  }),
  page('Workspace.auditEvents', ofWorkspace, 'auditEvents', EVENT, 'AuditEventFilter', 'audit_events_by_workspace'),
  page('Workspace.auditEvents by action', ofWorkspace, 'auditEvents', EVENT, 'AuditEventFilter', 'audit_events_by_workspace', {
    filter: () => ({ action: ['key.minted'] }),
  }),
  page('ApiKey.auditEvents', ofKey, 'auditEvents', EVENT, 'AuditEventFilter', 'audit_events_by_subject'),
  page(
    'Workspace.members',
    ofWorkspace,
    'members',
    `nodes { joinedAt user { name email } } ${NODES.pageInfo}`,
    'MembershipFilter',
    'memberships_by_age',
  ),
  page(
    'Workspace.members by a text in the address',
    ofWorkspace,
    'members',
    `nodes { joinedAt user { name email } } ${NODES.pageInfo}`,
    'MembershipFilter',
    'memberships_by_age',
    { filter: () => ({ email: 'EXAMPLE' }) },
  ),
  plain(
    'Membership.liveKeysMinted',
    'members(first: 1) { nodes { liveKeysMinted(PAGE) { nodes { id name hint } PAGE_INFO } } }',
    'api_keys_by_creator',
  ),
  plain('Workspace.invitations', 'invitations(PAGE) { nodes { id email expiresAt } PAGE_INFO }', 'invitations_by_age'),
  page(
    'Query.actions',
    ofAll,
    'actions',
    `nodes { id service name priceMicroCredits enabled } ${NODES.pageInfo}`,
    'ActionFilter',
    'actions_by_name',
  ),
  page(
    'Query.actions of a service',
    ofAll,
    'actions',
    `nodes { id service name priceMicroCredits enabled } ${NODES.pageInfo}`,
    'ActionFilter',
    'actions_by_name',
    { filter: () => ({ service: ['svc-1'] }) },
  ),
  page(
    'Query.routes',
    ofAll,
    'routes',
    `nodes { id host methods path upstreamUrl action { name } } ${NODES.pageInfo}`,
    'RouteFilter',
    'routes_by_age',
  ),
  page(
    'Query.routes of an action and a text in the path',
    ofAll,
    'routes',
    `nodes { id host methods path upstreamUrl } ${NODES.pageInfo}`,
    'RouteFilter',
    'routes_by_age',
    { filter: () => ({ actionId: [`act_${'0'.repeat(22)}`], path: 'THINGS', enabled: false }) },
  ),
  page('Workspace.serviceAccounts', ofWorkspace, 'serviceAccounts', ACCOUNT, 'ServiceAccountFilter', 'service_accounts_by_workspace'),
  page(
    'Workspace.serviceAccounts with a due rotation',
    ofWorkspace,
    'serviceAccounts',
    ACCOUNT,
    'ServiceAccountFilter',
    'service_accounts_by_workspace',
    { filter: () => ({ rotation: ['DUE', 'OVERDUE'], enabled: true }) },
  ),
  plain(
    'Workspace.oauthClients',
    'oauthClients(PAGE) { nodes { id name redirectUris hint confidential createdAt } PAGE_INFO }',
    'oauth_clients_by_age',
  ),
  plain(
    'OAuthClient.consents',
    'oauthClients(last: 1) { nodes { consents(PAGE) { nodes { id clientId scopes expiresAt createdAt } PAGE_INFO } } }',
    'consents_by_client',
  ),
  page(
    'Workspace.keys with nested objects',
    ofWorkspace,
    'keys',
    `nodes {
      id name status lastUsedAt
      requestLogs(first: 1) { nodes { id outcome } }
      project { name budget { available } workspace { name wallet { balance } } }
    } ${NODES.pageInfo}`,
    'ApiKeyFilter',
    /request_logs_by_credential|api_keys_by_workspace/,
  ),
  page(
    'Workspace.projects with five keys each',
    ofWorkspace,
    'projects',
    `nodes { id name keys(first: 5) { nodes { id name } } } ${NODES.pageInfo}`,
    'ProjectFilter',
    /projects_living_by_age|api_keys_by_project/,
  ),
  page(
    'Project.requestLogs with their count',
    ofProject,
    'requestLogs',
    `totalCount totalCountIsExact ${LOG}`,
    LOGS,
    'request_logs_by_project',
  ),
];
