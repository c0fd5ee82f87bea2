import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { Membership } from '../access/people/membership.entity';
import { Role, builtInRole } from '../access/roles/role.entity';
import { GraphQLContext, by } from '../graphql/context';
import { NamedOrder, ShownOnce, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/versions';
import { Environment } from '../tenancy/environment';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { ApiKey, KeyStatus } from './key.entity';
import { KEYS, gracesOf, previousSecretWorksUntil, statusOf, ApiKeyFilter } from './key.queries';
import { KeyService } from './key.service';

const ApiKeyConnection = connectionOf(ApiKey, 'ApiKey');

@ObjectType({ description: 'Who made something, named as in the audit trail.' })
class Creator {
  @Field({ description: 'What acted, as `AuditEvent.actorKind`.' })
  actorKind: string;

  @Field(() => ID, { description: 'Who acted, as `AuditEvent.actorId`.' })
  actorId: string;

  @Field(() => ID, { nullable: true, description: 'The person behind it: who acted, let the application in, or minted the key that acted. Null if there is none.' })
  userId: string | null;
}

@InputType({
  description:
    'expiresAt lies in the future. permissions are names from `Query.permissions` or NAME.* of a part of one; anything else is INVALID_REQUEST. An address without a mask in allowedIps is that address alone.',
})
class MintKeyInput {
  @Field(() => ID, { description: 'The project that it is bound to.' })
  projectId: string;

  @Field({ description: '1 to 100 characters.' })
  name: string;

  @Field(() => Environment, { defaultValue: Environment.LIVE, description: 'Whether its calls are billed.' })
  environment: Environment;

  @Field(() => [String], { description: 'What it may do, such as `face.detect` or `face.*`; at most 200.' })
  permissions: string[];

  @Field(() => ID, { nullable: true, description: 'A role of `Workspace.roles`, whose permissions it has besides.' })
  roleId?: string | null;

  @Field(() => [String], { defaultValue: [], description: 'Addresses and CIDR blocks that may use it, such as `192.0.2.7` or `10.0.0.0/8`; empty allows all. At most 200.' })
  allowedIps: string[];

  @Field(() => Date, { nullable: true, description: 'From then on it is refused; never, where absent.' })
  expiresAt?: Date | null;
}

@InputType({ description: 'What is to change; an absent field keeps its value.' })
class UpdateKeyInput {
  @Field(() => ID, { description: 'Which key.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => [String], { nullable: true, description: 'All that it may do from now on; at most 200.' })
  permissions?: string[];

  @Field(() => ID, { nullable: true, description: 'The role that it has from now on; null takes it away.' })
  roleId?: string | null;

  @Field(() => [String], { nullable: true, description: 'All addresses and blocks that may use it from now on; empty allows all. At most 200.' })
  allowedIps?: string[];

  @Field(() => Boolean, { nullable: true, description: 'Whether it works.' })
  enabled?: boolean;

  @Field(() => Date, { nullable: true, description: 'One in the past ends the key now; null lets it never expire.' })
  expiresAt?: Date | null;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'Which key gets a new secret.' })
class RotateKeyInput {
  @Field(() => ID, { description: 'Which key.' })
  id: string;

  @Field(() => Int, { defaultValue: 0, description: "In seconds, 0 to 2,592,000 (30 days); never outlives the key's own expiry. 3600 lets callers change over within an hour." })
  graceSeconds: number;
}

@InputType({ description: 'Which key ends.' })
class RevokeKeyInput {
  @Field(() => ID, { description: 'Which key.' })
  id: string;

  @Field(() => String, { nullable: true, description: 'Why: 1 to 500 characters.' })
  reason?: string | null;
}

@ObjectType({ description: 'What `mintKey` made. secret is null only in the answer to a repeat.' })
class MintKeyPayload {
  @Field(() => ApiKey, { nullable: true, description: 'The new key.' })
  key: ApiKey;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The secret: here and nowhere else, ever.' })
  secret: string;
}

@ObjectType({ description: 'What `updateKey` changed.' })
class UpdateKeyPayload {
  @Field({ description: 'The key as it is now.' })
  key: ApiKey;
}

@ObjectType({ description: 'What `rotateKey` made. secret is null only in the answer to a repeat.' })
class RotateKeyPayload {
  @Field(() => ApiKey, { nullable: true, description: 'The key as it is now.' })
  key: ApiKey;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The new secret: here and nowhere else, ever.' })
  secret: string;
}

@ObjectType({ description: 'What `revokeKey` ended.' })
class RevokeKeyPayload {
  @Field({ description: 'The key as it is now.' })
  key: ApiKey;
}

@Resolver(() => ApiKey)
export class KeyResolver {
  constructor(private readonly service: KeyService) {}

  @Query(() => ApiKey, { nullable: true, description: 'A key by its id; null where the caller may not know of it. Takes `read.keys`.' })
  key(@Arg('id', () => ID, { description: 'Begins with `key_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<ApiKey | null> {
    return ctx.seen(by(ApiKey), id, 'read.keys');
  }

  @FieldResolver(() => Project, { description: 'The project that it is bound to.' })
  project(@Root() key: ApiKey, @Ctx() ctx: GraphQLContext): Promise<Project> {
    return ctx.need(by(Project), key.projectId);
  }

  @FieldResolver(() => Role, { nullable: true, description: 'The role whose permissions it has besides its own; null where it has none.' })
  async role(@Root() { roleId }: ApiKey, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return roleId === null ? null : (builtInRole(roleId) ?? ctx.load(by(Role), roleId));
  }

  @FieldResolver(() => Creator, { nullable: true, description: 'Who minted it; null of a key from before this was written down. Takes `read.keys`.' })
  createdBy(@Root() { createdByKind, createdById, createdByUserId }: ApiKey): Creator | null {
    return createdByKind === null || createdById === null ? null : { actorKind: createdByKind, actorId: createdById, userId: createdByUserId };
  }

  @FieldResolver(() => KeyStatus, { description: 'Whether it works now, and if not, why.' })
  async status(@Root() key: ApiKey, @Ctx() ctx: GraphQLContext): Promise<KeyStatus> {
    return statusOf(key, await ctx.need(by(Project), key.projectId), await ctx.now());
  }

  @FieldResolver(() => Date, {
    nullable: true,
    description: 'Until when the secret before the last rotation still works; null where it does not.',
  })
  async previousSecretValidUntil(@Root() key: ApiKey, @Ctx() ctx: GraphQLContext): Promise<Date | null> {
    const [until, now] = await Promise.all([ctx.load(gracesOf, key.id), ctx.now()]);
    return previousSecretWorksUntil(key, until, now);
  }

  @Mutation(() => MintKeyPayload, {
    nullable: true,
    description:
      'Create a key. The secret is in this answer and nowhere else, ever.' +
      '\n\nTakes `write.keys`, and holding all that the key is to do with administrative permissions: nobody grants what they lack. Errors: `NOT_FOUND` for its project or its role; `CONFLICT` where the project is archived; `FORBIDDEN` for what one may not grant.',
  })
  async mintKey(@Arg('input', { description: 'The new key.' }) input: MintKeyInput, @Ctx() ctx: GraphQLContext): Promise<MintKeyPayload> {
    return this.service.mint(await ctx.originFor(by(Project), input.projectId, 'write.keys'), input);
  }

  @Mutation(() => UpdateKeyPayload, {
    nullable: true,
    description:
      'Change a key. What is changed counts from the next call on, on every node; an `expiresAt` in the past ends the key now.' +
      '\n\nTakes `write.keys`, and, but for `enabled: false`, holding all that the key may do. Errors: `NOT_FOUND` for it or its role; `CONFLICT` where it is revoked; `FORBIDDEN` for what one may not grant; `CONFLICT` too where `expectedVersion` is not the present one.',
  })
  async updateKey(@Arg('input', { description: 'What is to change.' }) input: UpdateKeyInput, @Ctx() ctx: GraphQLContext): Promise<UpdateKeyPayload> {
    return { key: await this.service.update(await ctx.originFor(by(ApiKey), input.id, 'write.keys'), input) };
  }

  @Mutation(() => RotateKeyPayload, {
    nullable: true,
    description:
      'Give the same key a new secret; the previous one lives on for `graceSeconds`, and one older than that ends now. The secret is in this answer and nowhere else, ever.' +
      '\n\nTakes `write.keys`, and holding all that the key may do. Errors: `NOT_FOUND`; `CONFLICT` where it is revoked or has expired.',
  })
  async rotateKey(@Arg('input', { description: 'Which key.' }) input: RotateKeyInput, @Ctx() ctx: GraphQLContext): Promise<RotateKeyPayload> {
    return this.service.rotate(await ctx.originFor(by(ApiKey), input.id, 'write.keys'), input);
  }

  @Mutation(() => RevokeKeyPayload, {
    nullable: true,
    description:
      'End a key at once, both its secrets, for good. Repeated, it answers the same and changes nothing.' +
      '\n\nTakes `write.keys`. Errors: `NOT_FOUND`.',
  })
  async revokeKey(@Arg('input', { description: 'Which key.' }) input: RevokeKeyInput, @Ctx() ctx: GraphQLContext): Promise<RevokeKeyPayload> {
    return { key: await this.service.revoke(await ctx.originFor(by(ApiKey), input.id, 'write.keys'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceKeysResolver {
  @FieldResolver(() => ApiKeyConnection, { nullable: true, description: 'The keys of all its projects, newest first unless told otherwise. Takes `read.keys`.' })
  async keys(
    @Root() { id: workspaceId }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => ApiKeyFilter, { nullable: true, description: 'Which of them.' }) filter: ApiKeyFilter | null,
    @Arg('orderBy', () => NamedOrder, { nullable: true, description: 'Newest first where absent.' }) orderBy: NamedOrder | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<ApiKey>> {
    ctx.require('read.keys', { workspaceId });
    return ctx.page(KEYS, { workspaceId }, { filter: filter ?? {}, orderBy, now: await ctx.now() }, page);
  }
}

@Resolver(() => Membership)
export class MembershipKeysResolver {
  @FieldResolver(() => ApiKeyConnection, {
    nullable: true,
    description:
      'The keys that they minted here, by themselves, through an application or with a key of theirs, and that are neither revoked nor expired; newest first. ' +
      '`removeMember` revokes them with `revokeKeys`. Takes `read.keys`.',
  })
  async liveKeysMinted(@Root() { workspaceId, userId }: Membership, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<ApiKey>> {
    ctx.require('read.keys', { workspaceId });
    const filter = { status: [KeyStatus.ACTIVE, KeyStatus.DISABLED] };
    return ctx.page(KEYS, { workspaceId, createdByUserId: userId }, { filter, now: await ctx.now() }, page);
  }
}

@Resolver(() => Project)
export class ProjectKeysResolver {
  @FieldResolver(() => ApiKeyConnection, { nullable: true, description: 'Its keys, newest first unless told otherwise. Takes `read.keys`.' })
  async keys(
    @Root() project: Project,
    @Args() page: PageArgs,
    @Arg('filter', () => ApiKeyFilter, { nullable: true, description: 'Which of them.' }) filter: ApiKeyFilter | null,
    @Arg('orderBy', () => NamedOrder, { nullable: true, description: 'Newest first where absent.' }) orderBy: NamedOrder | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<ApiKey>> {
    ctx.require('read.keys', project);
    return ctx.page(KEYS, { projectId: project.id }, { filter: filter ?? {}, orderBy, now: await ctx.now() }, page);
  }
}
