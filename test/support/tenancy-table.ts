import type { AdministrativePermission } from '../../src/access/permissions';

/**
 * What a field or route needs: a permission in the workspace of its object, or
 * - `nothing`: no credential;
 * - `credential`: any valid credential;
 * - `knowledge`: a caller that may see the workspace;
 * - `operator`: the root key;
 * - `person`: a signed-in person, because it concerns the person;
 * - `own`: the owner of the object, because other callers cannot see it;
 * - `own or read.members`: the owner of the object, or that permission.
 */
export type Needs = AdministrativePermission | 'nothing' | 'credential' | 'knowledge' | 'operator' | 'person' | 'own' | 'own or read.members';

/** The kind of object that an id in an argument names. */
export type IdKind =
  'ws' | 'prj' | 'key' | 'log' | 'svc' | 'wal' | 'led' | 'act' | 'rol' | 'usr' | 'inv' | 'ses' | 'evt' | 'app' | 'con' | 'rte' | 'mem';

export interface Row {
  needs: Needs;
  /** The kind of object that the argument `id` names. */
  id?: IdKind;
}

/** All fields of Query, Mutation and Subscription. A new field needs a row here, otherwise the test fails. */
export const ROOT_FIELDS: Record<string, Row> = {
  'Query.viewer': { needs: 'credential' },
  'Query.node': { needs: 'knowledge', id: 'prj' },
  'Query.nodes': { needs: 'knowledge' },
  'Query.workspace': { needs: 'knowledge', id: 'ws' },
  'Query.workspaces': { needs: 'credential' },
  'Query.project': { needs: 'knowledge', id: 'prj' },
  'Query.workspaceBySlug': { needs: 'knowledge' },
  'Query.projectBySlug': { needs: 'knowledge' },
  'Query.key': { needs: 'read.keys', id: 'key' },
  'Query.serviceAccount': { needs: 'read.keys', id: 'svc' },
  'Query.requestLog': { needs: 'read.logs', id: 'log' },
  'Query.oauthClient': { needs: 'read.members', id: 'app' },
  'Query.consent': { needs: 'own or read.members', id: 'con' },
  'Query.invitation': { needs: 'read.members', id: 'inv' },
  'Query.membership': { needs: 'read.members', id: 'mem' },
  'Query.session': { needs: 'own', id: 'ses' },
  'Query.user': { needs: 'read.members', id: 'usr' },
  'Query.actions': { needs: 'credential' },
  'Query.permissions': { needs: 'credential' },
  'Query.routes': { needs: 'operator' },
  'Query.auditEvents': { needs: 'operator' },
  'Query.auditChain': { needs: 'operator' },
  'Query.auditChain(workspaceId)': { needs: 'read.audit' },

  'Mutation.createWorkspace': { needs: 'operator' },
  'Mutation.updateWorkspace': { needs: 'write.workspace', id: 'ws' },
  'Mutation.createProject': { needs: 'write.projects' },
  'Mutation.updateProject': { needs: 'write.projects', id: 'prj' },
  'Mutation.mintKey': { needs: 'write.keys' },
  'Mutation.updateKey': { needs: 'write.keys', id: 'key' },
  'Mutation.rotateKey': { needs: 'write.keys', id: 'key' },
  'Mutation.createServiceAccount': { needs: 'write.keys' },
  'Mutation.updateServiceAccount': { needs: 'write.keys', id: 'svc' },
  'Mutation.rotateServiceAccountKey': { needs: 'write.keys', id: 'svc' },
  'Mutation.topUpWallet': { needs: 'operator' },
  'Mutation.allocateBudget': { needs: 'write.budgets' },
  'Mutation.refundRequest': { needs: 'operator' },
  'Mutation.adjustBalance': { needs: 'operator' },
  'Mutation.createAction': { needs: 'operator' },
  'Mutation.updateAction': { needs: 'operator', id: 'act' },
  'Mutation.createRoute': { needs: 'operator' },
  'Mutation.updateRoute': { needs: 'operator', id: 'rte' },
  'Mutation.createRole': { needs: 'admin.roles' },
  'Mutation.updateRole': { needs: 'admin.roles', id: 'rol' },
  'Mutation.createOAuthClient': { needs: 'admin.clients' },
  'Mutation.updateOAuthClient': { needs: 'admin.clients', id: 'app' },
  'Mutation.rotateOAuthClientSecret': { needs: 'admin.clients', id: 'app' },
  'Mutation.setMemberRole': { needs: 'admin.members' },
  'Mutation.inviteMember': { needs: 'admin.members' },
  'Mutation.acceptInvitation': { needs: 'nothing' },
  'Mutation.signIn': { needs: 'nothing' },
  'Mutation.requestPasswordReset': { needs: 'nothing' },
  'Mutation.resetPassword': { needs: 'nothing' },
  'Mutation.changePassword': { needs: 'person' },
  'Mutation.beginSecondFactor': { needs: 'person' },
  'Mutation.confirmSecondFactor': { needs: 'person' },
  'Mutation.removeSecondFactor': { needs: 'person' },
  // Mutations that end something come last
  'Mutation.withdrawConsent': { needs: 'own', id: 'con' },
  'Mutation.deleteOAuthClient': { needs: 'admin.clients', id: 'app' },
  'Mutation.revokeKey': { needs: 'write.keys', id: 'key' },
  'Mutation.disableServiceAccount': { needs: 'write.keys', id: 'svc' },
  'Mutation.archiveProject': { needs: 'write.projects', id: 'prj' },
  'Mutation.deleteRoute': { needs: 'operator', id: 'rte' },
  'Mutation.deleteRole': { needs: 'admin.roles', id: 'rol' },
  'Mutation.withdrawInvitation': { needs: 'admin.members', id: 'inv' },
  'Mutation.removeMember': { needs: 'admin.members' },
  'Mutation.endSession': { needs: 'own', id: 'ses' },
  'Mutation.signOut': { needs: 'person' },
  'Mutation.signOutEverywhere': { needs: 'person' },

  'Subscription.requestLogged': { needs: 'read.logs' },
  'Subscription.budgetChanged': { needs: 'read.wallet' },
  'Subscription.keyChanged': { needs: 'read.keys' },
  'Subscription.auditEventAdded': { needs: 'operator' },
  'Subscription.auditEventAdded(workspaceId)': { needs: 'read.audit' },
};

/** For each type, the root field that reaches its objects. The needs of that field apply to the type too. */
export const ENTRANCES: Record<string, { field: string; id: IdKind }> = {
  Workspace: { field: 'Query.workspace', id: 'ws' },
  Project: { field: 'Query.project', id: 'prj' },
  ApiKey: { field: 'Query.key', id: 'key' },
  ServiceAccount: { field: 'Query.serviceAccount', id: 'svc' },
  RequestLog: { field: 'Query.requestLog', id: 'log' },
};

/** Fields of these types that take an argument or lead to another object, with the permissions that they need in addition. */
export const FIELDS: Record<string, Needs> = {
  'Workspace.wallet': 'read.wallet',
  'Workspace.projects': 'knowledge',
  'Workspace.keys': 'read.keys',
  'Workspace.serviceAccounts': 'read.keys',
  'Workspace.requestLogs': 'read.logs',
  'Workspace.roles': 'read.members',
  'Workspace.members': 'read.members',
  'Workspace.invitations': 'read.members',
  'Workspace.oauthClients': 'read.members',
  'Workspace.auditEvents': 'read.audit',
  'Project.workspace': 'knowledge',
  'Project.budget': 'read.wallet',
  'Project.rateLimit': 'knowledge',
  'Project.keys': 'read.keys',
  'Project.ledger': 'read.wallet',
  'Project.requestLogs': 'read.logs',
  'ApiKey.project': 'read.keys',
  'ApiKey.role': 'read.keys',
  'ApiKey.createdBy': 'read.keys',
  'ApiKey.requestLogs': 'read.logs',
  'ApiKey.auditEvents': 'read.audit',
  'ServiceAccount.workspace': 'read.keys',
  'ServiceAccount.projects': 'read.keys',
  'ServiceAccount.role': 'read.keys',
  'ServiceAccount.requestLogs': 'read.logs',
  'ServiceAccount.auditEvents': 'read.audit',
  'RequestLog.key': 'read.keys',
  'RequestLog.serviceAccount': 'read.keys',
  'RequestLog.consent': 'read.members',
  'RequestLog.project': 'read.logs',
};

/** Fields that are reached only through a guarded field, with this field. A new field needs a row here, so that its guard is a decision. */
export const BEHIND_A_GUARD: Record<string, string> = {
  'Action.unitPrices': 'Query.actions',
  'RequestLog.usage': 'Query.requestLog',
  'Wallet.workspace': 'Workspace.wallet',
  'Wallet.ledger': 'Workspace.wallet',
  'LedgerEntry.workspace': 'Project.ledger',
  'LedgerEntry.project': 'Project.ledger',
  'LedgerEntry.linkedEntry': 'Project.ledger',
  'LedgerEntry.requestLog': 'Query.requestLog',
  'Membership.user': 'Workspace.members',
  'Membership.workspace': 'Workspace.members',
  'Membership.role': 'Workspace.members',
  'Membership.liveKeysMinted': 'Workspace.members', // also needs read.keys: test/people.removal.test.ts
  'Invitation.role': 'Workspace.invitations',
  'AuditVerification.firstBroken': 'Query.auditChain(workspaceId)',
  'AuditChain.verify': 'Query.auditChain(workspaceId)',
  'OAuthClient.consents': 'Workspace.oauthClients',
  'Consent.user': 'OAuthClient.consents',
  'Consent.project': 'OAuthClient.consents',
  'Route.action': 'Query.routes',
  'Route.usage': 'Query.routes',
  'Viewer.memberships': 'Query.viewer',
  'Viewer.consents': 'Query.viewer',
  'Viewer.sessions': 'Query.viewer',
  'RequestLogged.requestLog': 'Subscription.requestLogged',
  'BudgetChanged.project': 'Subscription.budgetChanged',
  'BudgetChanged.budget': 'Subscription.budgetChanged',
  'KeyChanged.key': 'Subscription.keyChanged',
  'AuditEventAdded.auditEvent': 'Subscription.auditEventAdded(workspaceId)',
};

/** Every REST route. */
export const ROUTES: Record<string, 'anybody' | 'a credential' | 'a key that may call' | 'an asker' | AdministrativePermission> = {
  'GET /healthz': 'anybody',
  'GET /.well-known/tollgate/jwks.json': 'anybody',
  'GET /readyz': 'anybody',
  'GET /openapi.json': 'anybody',
  'GET /docs': 'anybody',
  'GET /docs/:name': 'anybody',
  'GET /graphql': 'anybody',
  'POST /graphql': 'anybody',
  'GET /graphql/stream': 'a credential',
  'POST /graphql/stream': 'a credential',
  'GET /graphql/assets/:name': 'anybody',
  'GET /invitation': 'anybody',
  'POST /invitation': 'anybody',
  'GET /reset-password': 'anybody',
  'POST /reset-password': 'anybody',
  'GET /.well-known/openid-configuration': 'anybody',
  'GET /.well-known/oauth-authorization-server': 'anybody',
  'GET /oauth/jwks': 'anybody',
  'GET /oauth/authorize': 'anybody',
  'POST /oauth/authorize': 'anybody',
  'GET /oauth/authorize/:uid': 'anybody',
  'GET /oauth/consent/:uid': 'anybody',
  'POST /oauth/consent/:uid': 'anybody',
  'POST /oauth/consent/:uid/sign-in': 'anybody',
  'POST /oauth/consent/:uid/sign-out': 'anybody',
  'POST /oauth/token': 'anybody',
  'POST /oauth/revoke': 'anybody',
  'POST /oauth/introspect': 'anybody',
  'GET /v1/audit/export': 'read.audit',
  'GET /v1/export/ledger': 'read.wallet',
  'GET /v1/export/request-logs': 'read.logs',
  'GET /v1/export/keys': 'read.keys',
  'POST /v1/keys/verify': 'an asker',
  'POST /v1/holds/:id/settle': 'an asker',
  'POST /v1/holds/:id/void': 'an asker',
  'POST /v1/holds/:id/extend': 'an asker',
  'GET /v1/self': 'a key that may call',
  'GET /v1/forward-auth/nginx': 'a key that may call',
  'GET /v1/forward-auth/forwarded': 'a key that may call',
  'GET /v1/forward-auth/envoy/:path': 'a key that may call',
  'POST /v1/:service/execute': 'a key that may call',
};
