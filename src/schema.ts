import 'reflect-metadata';
import type { GraphQLSchema } from 'graphql';
import { buildSchemaSync, type BuildSchemaOptions, type ClassType } from 'type-graphql';
import type { PeopleServices } from './access/people-services';
import { InvitationResolver, WorkspaceInvitationsResolver } from './access/people/invitation.resolver';
import { MembershipResolver, WorkspaceMembersResolver } from './access/people/member.resolver';
import { PasswordResolver } from './access/sessions/password.resolver';
import { SecondFactorResolver } from './access/sessions/second-factor.resolver';
import { SignInResolver } from './access/sessions/sign-in.resolver';
import { SessionResolver, ViewerPersonResolver } from './access/sessions/viewer-person.resolver';
import { RoleResolver, WorkspaceRolesResolver } from './access/roles/role.resolver';
import { ViewerResolver } from './access/viewer.resolver';
import { ActionResolver } from './actions/action.resolver';
import { ProjectViewerPermissionsResolver, WorkspaceViewerPermissionsResolver } from './actions/viewer-permissions.resolver';
import type { ChainKeys } from './audit/chain-keys';
import { AuditChainResolver } from './audit/chain.resolver';
import { AuditEventResolver, KeyEventsResolver, ServiceAccountEventsResolver, WorkspaceEventsResolver } from './audit/event.resolver';
import type { Database } from './db/database';
import type { DocsDeps } from './docs/site';
import { graphqlAnswerOf } from './graphql/errors';
import { NodeResolver } from './graphql-server/node.resolver';
import { KeyChangedResolver } from './keys/key-changed.resolver';
import { KeyResolver, MembershipKeysResolver, ProjectKeysResolver, WorkspaceKeysResolver } from './keys/key.resolver';
import { DateTime } from './lib/scalars';
import { OAuthClientResolver, WorkspaceOAuthClientsResolver } from './oauth/client.resolver';
import { ConsentResolver, OAuthClientConsentsResolver, ViewerConsentsResolver } from './oauth/consent.resolver';
import type { OAuthServices } from './oauth/services';
import {
  KeyLogsResolver,
  LedgerEntryLogResolver,
  ProjectLogsResolver,
  RequestLogResolver,
  ServiceAccountLogsResolver,
  WorkspaceLogsResolver,
} from './requests/request-log.resolver';
import { httpStatusOf } from './rest/status';
import { openApiDocument } from './rest/openapi/document';
import { RouteResolver } from './routes/route.resolver';
import { ServiceAccountResolver, WorkspaceServiceAccountsResolver } from './service-accounts/service-account.resolver';
import { ProjectResolver, WorkspaceProjectsResolver } from './tenancy/project.resolver';
import { WorkspaceResolver } from './tenancy/workspace.resolver';
import { BudgetChangedResolver } from './wallet/budget-changed.resolver';
import { LedgerEntryResolver, ProjectBudgetResolver, WalletResolver, WorkspaceWalletResolver } from './wallet/wallet.resolver';
import type { Services } from './services';

// The admin schema: the list of all resolvers, and the descriptions of the root types.

type Resolvers = Map<unknown, object>;

/** What the admin schema's resolvers use. */
export interface SchemaDeps {
  services: Services;
  people: PeopleServices;
  oauth: OAuthServices;
  database: Database;
  chainKeys: ChainKeys;
}

function createResolvers({ services, people, oauth, database, chainKeys }: SchemaDeps): Resolvers {
  const { workspaces, projects, keys, serviceAccounts, roles, members, wallets, actions, routes } = services;
  const instances = [
    new ViewerResolver(),
    new ViewerPersonResolver(database.reader, people.sessions),
    new SessionResolver(),
    new SignInResolver(people.signIns, people.sessions),
    new PasswordResolver(people.passwords),
    new SecondFactorResolver(people.secondFactors),
    new InvitationResolver(people.invitations),
    new WorkspaceInvitationsResolver(),
    new MembershipResolver(members),
    new WorkspaceMembersResolver(),
    new NodeResolver(),
    new WorkspaceResolver(workspaces),
    new ProjectResolver(projects),
    new WorkspaceProjectsResolver(),
    new KeyResolver(keys),
    new KeyChangedResolver(),
    new WorkspaceKeysResolver(),
    new ProjectKeysResolver(),
    new MembershipKeysResolver(),
    new OAuthClientResolver(oauth.clients),
    new WorkspaceOAuthClientsResolver(),
    new ConsentResolver(oauth.consents),
    new ViewerConsentsResolver(),
    new OAuthClientConsentsResolver(),
    new ServiceAccountResolver(serviceAccounts),
    new WorkspaceServiceAccountsResolver(),
    new RoleResolver(roles),
    new WorkspaceRolesResolver(),
    new WalletResolver(wallets),
    new WorkspaceWalletResolver(),
    new ProjectBudgetResolver(),
    new BudgetChangedResolver(),
    new LedgerEntryResolver(),
    new ActionResolver(actions),
    new WorkspaceViewerPermissionsResolver(),
    new ProjectViewerPermissionsResolver(),
    new RouteResolver(routes),
    new RequestLogResolver(),
    new LedgerEntryLogResolver(),
    new WorkspaceLogsResolver(),
    new ProjectLogsResolver(),
    new KeyLogsResolver(),
    new ServiceAccountLogsResolver(),
    new AuditEventResolver(),
    new WorkspaceEventsResolver(),
    new KeyEventsResolver(),
    new ServiceAccountEventsResolver(),
    new AuditChainResolver(database.reader, chainKeys),
  ];
  return new Map(instances.map((instance) => [instance.constructor, instance]));
}

const QUERY_DESCRIPTION =
  'Reads. An object that does not exist, or that the caller may not see, is null. If the caller lacks the permission of a field, ' +
  'the field is null, with `FORBIDDEN` at its path.' +
  '\n\nErrors of any query: `UNAUTHENTICATED` without a valid credential, `INVALID_REQUEST` with `issues` for arguments that do not ' +
  'fit, `QUERY_TOO_COMPLEX` and `RATE_LIMITED` for asking too much, `SERVICE_UNAVAILABLE`, `INTERNAL`.';

const MUTATION_DESCRIPTION =
  'Changes. Each mutation is one transaction, which also writes an event.' +
  '\n\nErrors of any mutation, in addition to those that it lists: `UNAUTHENTICATED` without a valid credential, `FORBIDDEN` if a ' +
  'permission is missing, `INVALID_REQUEST` with `issues` for an input that does not fit, `CONFLICT` for an `Idempotency-Key` that ' +
  'belongs to another mutation or is still in progress, `QUERY_TOO_COMPLEX` and `RATE_LIMITED` for asking too much, ' +
  '`SERVICE_UNAVAILABLE`, `INTERNAL`.';

const SUBSCRIPTION_DESCRIPTION =
  'Streams of changes, over a WebSocket at `/graphql` (graphql-transport-ws) or as server-sent events at `/graphql/stream`. If a ' +
  'caller loses the right to read a stream, the stream ends within about a second, with an error as its last result.';

/** The admin schema, with resolvers that use the given services. */
export function createSchema(deps: SchemaDeps): GraphQLSchema {
  const resolvers = createResolvers(deps);
  const schema = buildSchemaSync({
    resolvers: [...resolvers.keys()] as [ClassType, ...ClassType[]],
    container: { get: (resolver: unknown) => resolvers.get(resolver) },
    scalarsMap: [{ type: Date, scalar: DateTime }],
    pubSub: NO_PUB_SUB,
    validate: false, // the services validate, and report all problems in one answer
    skipCheck: true, // saves 75 ms at each start; test/graphql.schema.test.ts does this check
  });
  const { query, mutation, subscription } = schema.toConfig();
  if (query) query.description = QUERY_DESCRIPTION;
  if (mutation) mutation.description = MUTATION_DESCRIPTION;
  if (subscription) subscription.description = SUBSCRIPTION_DESCRIPTION;
  return schema;
}

/** type-graphql requires a pub/sub for subscriptions. Ours is empty, because our streams read the database, which all nodes share. */
const NO_PUB_SUB: NonNullable<BuildSchemaOptions['pubSub']> = {
  publish: () => undefined,
  subscribe: () => {
    throw new Error('There is no pub/sub inside a process. Streams read the database.');
  },
};

/** The admin schema without services, for printing. */
export function describeSchema(): GraphQLSchema {
  return createSchema({ services: {}, people: {}, oauth: {}, database: {}, chainKeys: {} } as SchemaDeps);
}

/** The sources of the manual. */
export const docsOf = (schema: GraphQLSchema): DocsDeps => ({
  schema,
  openApi: openApiDocument(),
  answers: { httpStatusOf, graphqlAnswerOf },
});
