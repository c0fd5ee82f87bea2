import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { Role, builtInRole } from '../access/roles/role.entity';
import { GraphQLContext, by } from '../graphql/context';
import { ShownOnce, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/versions';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { RotationStatus, ServiceAccount } from './service-account.entity';
import { SERVICE_ACCOUNTS, lastGracesOf, projectIdsOf, rotationStatusOf, ServiceAccountFilter } from './service-account.queries';
import { ServiceAccountService } from './service-account.service';

const ServiceAccountConnection = connectionOf(ServiceAccount, 'ServiceAccount');

@InputType({ description: 'permissions are names from `Query.permissions` or NAME.* of a part of one; anything else is INVALID_REQUEST.' })
class CreateServiceAccountInput {
  @Field(() => ID, { description: 'The workspace that it belongs to.' })
  workspaceId: string;

  @Field({ description: '1 to 100 characters.' })
  name: string;

  @Field(() => [String], { description: 'What it may do, such as `face.*` or `read.logs`; at most 200. Whoever makes it may grant them all.' })
  permissions: string[];

  @Field(() => ID, { nullable: true, description: 'A role of `Workspace.roles`, whose permissions it has besides.' })
  roleId?: string | null;

  @Field(() => [ID], { description: 'The projects that it may call in: at most 100, of this workspace.' })
  projectIds: string[];

  @Field(() => Int, { description: 'How old a secret is to become before it is rotated: 1 to 365 days.' })
  rotationDays: number;
}

@InputType({ description: 'What is to change; an absent field keeps its value.' })
class UpdateServiceAccountInput {
  @Field(() => ID, { description: 'Which service account.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => [String], { nullable: true, description: 'All that it may do from now on.' })
  permissions?: string[];

  @Field(() => ID, { nullable: true, description: 'The role that it has from now on; null takes it away.' })
  roleId?: string | null;

  @Field(() => [ID], { nullable: true, description: 'All projects that it may call in from now on.' })
  projectIds?: string[];

  @Field(() => Int, { nullable: true, description: '1 to 365 days, counted from when its secret was made.' })
  rotationDays?: number;

  @Field(() => Boolean, { nullable: true, description: 'Whether it works.' })
  enabled?: boolean;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'Which service account gets a new secret.' })
class RotateServiceAccountKeyInput {
  @Field(() => ID, { description: 'Which service account.' })
  id: string;

  @Field(() => Int, { defaultValue: 86_400, description: 'How long the secret that is replaced works on: 0 to 2,592,000 (30 days). Those before it never gain by it.' })
  graceSeconds: number;
}

@InputType({ description: 'Which service account is to stop.' })
class DisableServiceAccountInput {
  @Field(() => ID, { description: 'Which service account.' })
  id: string;
}

@ObjectType({ description: 'What `createServiceAccount` made. secret is null only in the answer to a repeat.' })
class CreateServiceAccountPayload {
  @Field(() => ServiceAccount, { nullable: true, description: 'The new service account.' })
  serviceAccount: ServiceAccount;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The secret: here and nowhere else, ever.' })
  secret: string;
}

@ObjectType({ description: 'What `updateServiceAccount` changed.' })
class UpdateServiceAccountPayload {
  @Field({ description: 'The service account as it is now.' })
  serviceAccount: ServiceAccount;
}

@ObjectType({ description: 'What `rotateServiceAccountKey` made. secret is null only in the answer to a repeat.' })
class RotateServiceAccountKeyPayload {
  @Field(() => ServiceAccount, { nullable: true, description: 'The service account as it is now.' })
  serviceAccount: ServiceAccount;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The new secret: here and nowhere else, ever.' })
  secret: string;
}

@ObjectType({ description: 'What `disableServiceAccount` stopped.' })
class DisableServiceAccountPayload {
  @Field({ description: 'The service account as it is now.' })
  serviceAccount: ServiceAccount;
}

@Resolver(() => ServiceAccount)
export class ServiceAccountResolver {
  constructor(private readonly service: ServiceAccountService) {}

  @Query(() => ServiceAccount, { nullable: true, description: 'A service account by its id; null where the caller may not know of it. Takes `read.keys`.' })
  serviceAccount(@Arg('id', () => ID, { description: 'Begins with `svc_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<ServiceAccount | null> {
    return ctx.seen(by(ServiceAccount), id, 'read.keys');
  }

  @FieldResolver(() => Workspace, { description: 'The workspace that it belongs to.' })
  workspace(@Root() { workspaceId }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), workspaceId);
  }

  @FieldResolver(() => [Project], { description: 'The projects that it may call in; at most 100.' })
  async projects(@Root() { id }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Project[]> {
    const ids = (await ctx.load(projectIdsOf, id)) ?? [];
    return Promise.all(ids.map((projectId) => ctx.need(by(Project), projectId)));
  }

  @FieldResolver(() => Role, { nullable: true, description: 'The role whose permissions it has besides its own; null where it has none.' })
  async role(@Root() { roleId }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return roleId === null ? null : (builtInRole(roleId) ?? ctx.load(by(Role), roleId));
  }

  @FieldResolver(() => RotationStatus, { description: 'Whether it wants a new secret.' })
  async rotationStatus(@Root() account: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<RotationStatus> {
    return rotationStatusOf(account, await ctx.now());
  }

  @FieldResolver(() => Date, { nullable: true, description: 'Until when the last of its former secrets works, while it is enabled; null where none does.' })
  async previousSecretsValidUntil(@Root() { id }: ServiceAccount, @Ctx() ctx: GraphQLContext): Promise<Date | null> {
    const [until, now] = await Promise.all([ctx.load(lastGracesOf, id), ctx.now()]);
    return until && until > now ? until : null;
  }

  @Mutation(() => CreateServiceAccountPayload, {
    nullable: true,
    description:
      'Make a service account. The secret is in this answer and nowhere else, ever.' +
      '\n\nTakes `write.keys`, and holding all that the account is to do: nobody grants what they lack. Errors: `NOT_FOUND` for its workspace, a project or its role; `CONFLICT` where a project is archived, or where the workspace has 1,000 that are enabled; `FORBIDDEN` for what one may not grant.',
  })
  async createServiceAccount(@Arg('input', { description: 'The new service account.' }) input: CreateServiceAccountInput, @Ctx() ctx: GraphQLContext): Promise<CreateServiceAccountPayload> {
    return this.service.create(await ctx.originIn(input.workspaceId, 'write.keys'), input);
  }

  @Mutation(() => UpdateServiceAccountPayload, {
    nullable: true,
    description:
      'Change a service account, at once and everywhere.' +
      '\n\nTakes `write.keys`, and holding all that the account may do, before and after; none changes itself. Errors: `NOT_FOUND` for it, a project or its role; `CONFLICT` where a new project is archived, where one too many would be enabled, or for another version than `expectedVersion`; `FORBIDDEN` for what one may not grant.',
  })
  async updateServiceAccount(@Arg('input', { description: 'What is to change.' }) input: UpdateServiceAccountInput, @Ctx() ctx: GraphQLContext): Promise<UpdateServiceAccountPayload> {
    return { serviceAccount: await this.service.update(await ctx.originFor(by(ServiceAccount), input.id, 'write.keys'), input) };
  }

  @Mutation(() => RotateServiceAccountKeyPayload, {
    nullable: true,
    description:
      'Give a service account a new secret. The one before works for graceSeconds more, 24 hours where absent; those before that never longer than they would have, and with 0 none does.' +
      '\n\nTakes `write.keys`, and holding all that the account may do; none rotates itself. Errors: `NOT_FOUND` for it; `FORBIDDEN` for what one may not grant.',
  })
  async rotateServiceAccountKey(@Arg('input', { description: 'Which service account.' }) input: RotateServiceAccountKeyInput, @Ctx() ctx: GraphQLContext): Promise<RotateServiceAccountKeyPayload> {
    return this.service.rotate(await ctx.originFor(by(ServiceAccount), input.id, 'write.keys'), input);
  }

  @Mutation(() => DisableServiceAccountPayload, {
    nullable: true,
    description:
      'Stop a service account at once, with all its secrets, until `updateServiceAccount` enables it. Repeated, it answers the same and changes nothing.' +
      '\n\nTakes `write.keys`. Errors: `NOT_FOUND` for it.',
  })
  async disableServiceAccount(@Arg('input', { description: 'Which service account.' }) input: DisableServiceAccountInput, @Ctx() ctx: GraphQLContext): Promise<DisableServiceAccountPayload> {
    return { serviceAccount: await this.service.disable(await ctx.originFor(by(ServiceAccount), input.id, 'write.keys'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceServiceAccountsResolver {
  @FieldResolver(() => ServiceAccountConnection, { nullable: true, description: 'Its service accounts, newest first. Takes `read.keys`.' })
  async serviceAccounts(
    @Root() { id: workspaceId }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => ServiceAccountFilter, { nullable: true, description: 'Which of them.' }) filter: ServiceAccountFilter | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<ServiceAccount>> {
    ctx.require('read.keys', { workspaceId });
    return ctx.page(SERVICE_ACCOUNTS, { workspaceId }, { filter: filter ?? {}, now: await ctx.now() }, page);
  }
}
