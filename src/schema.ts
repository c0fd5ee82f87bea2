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
import { AuditChainResolver } from './audit/chain.resolver';
import { AuditEventResolver, KeyEventsResolver, ServiceAccountEventsResolver, WorkspaceEventsResolver } from './audit/event.resolver';
import type { Database } from './db/database';
import type { DocsDeps } from './docs/site';
import { graphqlAnswerOf } from './graphql/errors';
import { NodeResolver } from './graphql/node.resolver';
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
import { openApiDocument } from './rest/openapi';
import { ServiceAccountResolver, WorkspaceServiceAccountsResolver } from './service-accounts/service-account.resolver';
import { ProjectResolver, WorkspaceProjectsResolver } from './tenancy/project.resolver';
import { WorkspaceResolver } from './tenancy/workspace.resolver';
import { BudgetChangedResolver } from './wallet/budget-changed.resolver';
import { LedgerEntryResolver, ProjectBudgetResolver, WalletResolver, WorkspaceWalletResolver } from './wallet/wallet.resolver';
import type { Services } from './services';

// The admin schema: the one list of resolvers, and what it says of itself.

type Resolvers = Map<unknown, object>;

function createResolvers({ workspaces, projects, keys, serviceAccounts, roles, members, wallets, actions }: Services, people: PeopleServices, oauth: OAuthServices, database: Database): Resolvers {
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
    new AuditChainResolver(database.reader),
  ];
  return new Map(instances.map((instance) => [instance.constructor, instance]));
}

/** The admin schema, over the services of an app. */
export function createSchema(services: Services, people: PeopleServices, oauth: OAuthServices, database: Database): GraphQLSchema {
  const resolvers = createResolvers(services, people, oauth, database);
  const schema = buildSchemaSync({
    resolvers: [...resolvers.keys()] as [ClassType, ...ClassType[]],
    container: { get: (resolver: unknown) => resolvers.get(resolver) },
    scalarsMap: [{ type: Date, scalar: DateTime }],
    pubSub: NO_PUB_SUB,
    validate: false, // services validate, with every problem in one answer
    skipCheck: true, // costs each start 75 ms; test/graphql.schema.test.ts has it
  });
  const { query, mutation, subscription } = schema.toConfig();
  if (query) query.description = 'What can be asked. An object that the caller may not know of is null, like one that never was; a field that takes a permission which the caller lacks is null too, ' +
      'with `FORBIDDEN` at its path.\n\nErrors of any query: `UNAUTHENTICATED` without a valid credential, `INVALID_REQUEST` with `issues` for arguments that do not fit, ' +
      '`QUERY_TOO_COMPLEX` and `RATE_LIMITED` for more than one may ask for, `SERVICE_UNAVAILABLE`, `INTERNAL`.';
  if (mutation) mutation.description = 'What can be changed. Each is a transaction of its own, with an event that tells of it.\n\nErrors of any mutation, besides those that it names: `UNAUTHENTICATED` without a ' +
      'valid credential, `FORBIDDEN` where a permission is lacking, `INVALID_REQUEST` with `issues` for an input that does not fit, `CONFLICT` for an `Idempotency-Key` that another mutation has or ' +
      'that is being done, `QUERY_TOO_COMPLEX` and `RATE_LIMITED` for more than one may ask for, `SERVICE_UNAVAILABLE`, `INTERNAL`.';
  if (subscription) {
    subscription.description =
      'What can be followed, over a WebSocket at `/graphql` (graphql-transport-ws) or as server-sent events at `/graphql/stream`. Whoever loses the right to it loses the stream within a second or so, with an error as its last result.';
  }
  return schema;
}

/** type-graphql wants one where there are subscriptions; ours read the database, which all nodes share. */
const NO_PUB_SUB: NonNullable<BuildSchemaOptions['pubSub']> = {
  publish: () => undefined,
  subscribe: () => {
    throw new Error('Nothing is published in a process.');
  },
};

/** The admin schema without anything behind it, to be printed. */
export function describeSchema(): GraphQLSchema {
  return createSchema({} as Services, {} as PeopleServices, {} as OAuthServices, {} as Database);
}

/** What the manual is made of. */
export const docsOf = (schema: GraphQLSchema): DocsDeps => ({ schema, openApi: openApiDocument(), answers: { httpStatusOf, graphqlAnswerOf } });
