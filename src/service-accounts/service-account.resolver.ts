import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { Role, builtInRole } from '../access/roles/role.entity';
import { GraphQLContext, by } from '../graphql/context';
import { MaxItems, ShownOnce, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/version-descriptions';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { RotationStatus, ServiceAccount } from './service-account.entity';
import {
  MAX_ACCOUNT_PROJECTS,
  SERVICE_ACCOUNTS,
  ServiceAccountFilter,
  lastGracesOf,
  projectIdsOf,
  rotationStatusOf,
} from './service-account.queries';
import { ServiceAccountService } from './service-account.service';

const ServiceAccountConnection = connectionOf(ServiceAccount, 'ServiceAccount');

@InputType({
  description:
    'A new service account. `permissions` are names from `Query.permissions`, or a prefix of such a name with a wildcard. ' +
    'Anything else is INVALID_REQUEST.',
})
class CreateServiceAccountInput {
  @Field(() => ID, { description: 'The workspace that the service account belongs to.' })
  workspaceId: string;

  @Field({ description: '1 to 100 characters.' })
  name: string;

  @Field(() => [String], {
    description: 'Its permissions, such as `face.*` or `read.logs`: at most 200. The caller must be allowed to grant them all.',
  })
  permissions: string[];

  @Field(() => ID, { nullable: true, description: 'A role of `Workspace.roles` that adds its permissions.' })
  roleId?: string | null;

  @Field(() => [ID], { description: 'The projects that it may call in: at most 100, of this workspace.' })
  projectIds: string[];

  @Field(() => Int, { description: 'Days after which the secret should be rotated: 1 to 365.' })
  rotationDays: number;
}

@InputType({ description: 'Changes of a service account. An absent field keeps its value.' })
class UpdateServiceAccountInput {
  @Field(() => ID, { description: 'The service account.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => [String], { nullable: true, description: 'The new list of permissions.' })
  permissions?: string[];

  @Field(() => ID, { nullable: true, description: 'The new role; null removes the role.' })
  roleId?: string | null;

  @Field(() => [ID], { nullable: true, description: 'The new list of projects that it may call in.' })
  projectIds?: string[];

  @Field(() => Int, { nullable: true, description: '1 to 365 days, counted from the creation of its secret.' })
  rotationDays?: number;

  @Field(() => Boolean, { nullable: true, description: 'Whether its secrets work.' })
  enabled?: boolean;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'The service account to rotate.' })
class RotateServiceAccountKeyInput {
  @Field(() => ID, { description: 'The service account.' })
  id: string;

  @Field(() => Int, {
    defaultValue: 86_400,
    description: 'Seconds that the replaced secret keeps working: 0 to 2,592,000 (30 days). Never extends older secrets.',
  })
  graceSeconds: number;
}

@InputType({ description: 'The service account to disable.' })
class DisableServiceAccountInput {
  @Field(() => ID, { description: 'The service account.' })
  id: string;
}

@ObjectType({ description: 'The result of `createServiceAccount`. secret is null only in the answer to a repeat of the request.' })
class CreateServiceAccountPayload {
  @Field(() => ServiceAccount, { nullable: true, description: 'The new service account.' })
  serviceAccount: ServiceAccount;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The secret. It is shown only here.' })
  secret: string;
}

@ObjectType({ description: 'The result of `updateServiceAccount`.' })
class UpdateServiceAccountPayload {
  @Field({ description: 'The service account after the change.' })
  serviceAccount: ServiceAccount;
}

@ObjectType({ description: 'The result of `rotateServiceAccountKey`. secret is null only in the answer to a repeat of the request.' })
class RotateServiceAccountKeyPayload {
  @Field(() => ServiceAccount, { nullable: true, description: 'The service account after the change.' })
  serviceAccount: ServiceAccount;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The new secret. It is shown only here.' })
  secret: string;
}

@ObjectType({ description: 'The result of `disableServiceAccount`.' })
class DisableServiceAccountPayload {
  @Field({ description: 'The service account after the change.' })
  serviceAccount: ServiceAccount;
}

@Resolver(() => ServiceAccount)
export class ServiceAccountResolver {
  constructor(private readonly service: ServiceAccountService) {}

  @Query(() => ServiceAccount, {
    nullable: true,
    description: 'The service account with this id, or null if it does not exist or the caller may not see it. Requires `read.keys`.',
  })
  serviceAccount(
    @Arg('id', () => ID, { description: 'Begins with `svc_`.' }) id: string,
    @Ctx() ctx: GraphQLContext,
  ): Promise<ServiceAccount | null> {
    return ctx.seen(by(ServiceAccount), id, 'read.keys');
  }

  @FieldResolver(() => Workspace, { description: 'The workspace that the service account belongs to.' })
  workspace(@Root() { workspaceId }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), workspaceId);
  }

  @MaxItems(MAX_ACCOUNT_PROJECTS)
  @FieldResolver(() => [Project], { description: 'The projects that it may call in: at most 100.' })
  async projects(@Root() { id }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Project[]> {
    const ids = (await ctx.load(projectIdsOf, id)) ?? [];
    return Promise.all(ids.map((projectId) => ctx.need(by(Project), projectId)));
  }

  @FieldResolver(() => Role, { nullable: true, description: 'The role that adds its permissions, or null.' })
  async role(@Root() { roleId }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return roleId === null ? null : (builtInRole(roleId) ?? ctx.load(by(Role), roleId));
  }

  @FieldResolver(() => RotationStatus, { description: 'Whether its secret should be rotated.' })
  async rotationStatus(@Root() account: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<RotationStatus> {
    return rotationStatusOf(account, await ctx.now());
  }

  @FieldResolver(() => Date, {
    nullable: true,
    description: 'Time until which the last replaced secret works while the account is enabled, or null if none works.',
  })
  async previousSecretsValidUntil(@Root() { id }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Date | null> {
    const [until, now] = await Promise.all([ctx.load(lastGracesOf, id), ctx.now()]);
    return until && until > now ? until : null;
  }

  @Mutation(() => CreateServiceAccountPayload, {
    nullable: true,
    description:
      'Create a service account. Its secret is only in this answer.' +
      '\n\nRequires `write.keys` and the right to grant every permission of the account. Errors: `NOT_FOUND` for the workspace, a ' +
      'project or the role; `CONFLICT` if a project is archived, or if the workspace has 1,000 enabled service accounts; ' +
      '`FORBIDDEN` for a permission that the caller may not grant.',
  })
  async createServiceAccount(
    @Arg('input', { description: 'The new service account.' }) input: CreateServiceAccountInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<CreateServiceAccountPayload> {
    return this.service.create(await ctx.originIn(input.workspaceId, 'write.keys'), input);
  }

  @Mutation(() => UpdateServiceAccountPayload, {
    nullable: true,
    description:
      'Change a service account. The change takes effect at once, on every node.' +
      '\n\nRequires `write.keys` and the right to grant every permission of the account, before and after the change. A service account ' +
      'cannot change itself. Errors: `NOT_FOUND` for the account, a project or the role; `CONFLICT` if a new project is archived, if ' +
      'too many accounts would be enabled, or if `expectedVersion` is not the current version; ' +
      '`FORBIDDEN` for a permission that the caller may not grant.',
  })
  async updateServiceAccount(
    @Arg('input', { description: 'The changes.' }) input: UpdateServiceAccountInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateServiceAccountPayload> {
    return { serviceAccount: await this.service.update(await ctx.originFor(by(ServiceAccount), input.id, 'write.keys'), input) };
  }

  @Mutation(() => RotateServiceAccountKeyPayload, {
    nullable: true,
    description:
      'Give a service account a new secret. The replaced secret works for `graceSeconds` more, 24 hours by default. ' +
      'Older secrets never work longer than before. With `graceSeconds: 0`, all of them stop at once.' +
      '\n\nRequires `write.keys` and the right to grant every permission of the account. A service account cannot rotate itself. ' +
      'Errors: `NOT_FOUND` for the account; `FORBIDDEN` for a permission that the caller may not grant.',
  })
  async rotateServiceAccountKey(
    @Arg('input', { description: 'The service account.' }) input: RotateServiceAccountKeyInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<RotateServiceAccountKeyPayload> {
    return this.service.rotate(await ctx.originFor(by(ServiceAccount), input.id, 'write.keys'), input);
  }

  @Mutation(() => DisableServiceAccountPayload, {
    nullable: true,
    description:
      'Disable a service account and all its secrets at once, until `updateServiceAccount` enables it. ' +
      'A repeat returns the same and changes nothing.' +
      '\n\nRequires `write.keys`. Errors: `NOT_FOUND` for the account.',
  })
  async disableServiceAccount(
    @Arg('input', { description: 'The service account.' }) input: DisableServiceAccountInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<DisableServiceAccountPayload> {
    return { serviceAccount: await this.service.disable(await ctx.originFor(by(ServiceAccount), input.id, 'write.keys'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceServiceAccountsResolver {
  @FieldResolver(() => ServiceAccountConnection, {
    nullable: true,
    description: 'Its service accounts, newest first. Requires `read.keys`.',
  })
  async serviceAccounts(
    @Root() { id: workspaceId }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => ServiceAccountFilter, { nullable: true, description: 'Selects service accounts.' })
    filter: ServiceAccountFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<ServiceAccount>> {
    ctx.require('read.keys', { workspaceId });
    return ctx.page(SERVICE_ACCOUNTS, { workspaceId }, { filter: filter ?? {}, now: await ctx.now() }, page);
  }
}
