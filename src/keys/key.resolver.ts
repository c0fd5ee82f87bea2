import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { Membership } from '../access/people/membership.entity';
import { Role, builtInRole } from '../access/roles/role.entity';
import { GraphQLContext, by } from '../graphql/context';
import { NamedOrder, ShownOnce, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/version-descriptions';
import { Environment } from '../tenancy/environment';
import { Project } from '../tenancy/project.entity';
import { Workspace } from '../tenancy/workspace.entity';
import { ApiKey, KeyStatus } from './key.entity';
import { KEYS, gracesOf, previousSecretWorksUntil, statusOf, ApiKeyFilter } from './key.queries';
import { KeyService } from './key.service';

const ApiKeyConnection = connectionOf(ApiKey, 'ApiKey');

@ObjectType({ description: 'The actor that made something, named as in the audit trail.' })
class Creator {
  @Field({ description: 'The kind of the actor, like `AuditEvent.actorKind`.' })
  actorKind: string;

  @Field(() => ID, { description: 'The id of the actor, like `AuditEvent.actorId`.' })
  actorId: string;

  @Field(() => ID, {
    nullable: true,
    description:
      'The person who acted; for an application, the person who gave consent; for a key, the person who minted it. Null if there is none.',
  })
  userId: string | null;
}

@InputType({
  description:
    'A new key. `expiresAt` must be in the future. `permissions` are names from `Query.permissions`, or a prefix of such a name with a ' +
    'wildcard; anything else is INVALID_REQUEST. An address without a mask in `allowedIps` allows only this address.',
})
class MintKeyInput {
  @Field(() => ID, { description: 'The project that the key belongs to.' })
  projectId: string;

  @Field({ description: '1 to 100 characters.' })
  name: string;

  @Field(() => Environment, { defaultValue: Environment.LIVE, description: 'Whether its calls are billed.' })
  environment: Environment;

  @Field(() => [String], { description: 'Its permissions, such as `face.detect` or `face.*`: at most 200.' })
  permissions: string[];

  @Field(() => ID, { nullable: true, description: 'A role of `Workspace.roles` that adds its permissions.' })
  roleId?: string | null;

  @Field(() => [String], {
    defaultValue: [],
    description: 'Addresses and CIDR blocks that may use the key, such as `192.0.2.7` or `10.0.0.0/8`. Empty allows all. At most 200.',
  })
  allowedIps: string[];

  @Field(() => Date, { nullable: true, description: 'Time from which the key is refused. Default: never.' })
  expiresAt?: Date | null;
}

@InputType({ description: 'Changes of a key. An absent field keeps its value.' })
class UpdateKeyInput {
  @Field(() => ID, { description: 'The key.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => [String], { nullable: true, description: 'The new list of permissions: at most 200.' })
  permissions?: string[];

  @Field(() => ID, { nullable: true, description: 'The new role; null removes the role.' })
  roleId?: string | null;

  @Field(() => [String], {
    nullable: true,
    description: 'The new list of addresses and blocks that may use the key. Empty allows all. At most 200.',
  })
  allowedIps?: string[];

  @Field(() => Boolean, { nullable: true, description: 'Whether the key works.' })
  enabled?: boolean;

  @Field(() => Date, {
    nullable: true,
    description: 'Time from which the key is refused. A time in the past ends the key now; null means never.',
  })
  expiresAt?: Date | null;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'The key to rotate.' })
class RotateKeyInput {
  @Field(() => ID, { description: 'The key.' })
  id: string;

  @Field(() => Int, {
    defaultValue: 0,
    description:
      'Seconds that the replaced secret keeps working: 0 to 2,592,000 (30 days), but never beyond the expiry of the key. ' +
      'With 3600, callers have an hour to change over.',
  })
  graceSeconds: number;
}

@InputType({ description: 'The key to revoke.' })
class RevokeKeyInput {
  @Field(() => ID, { description: 'The key.' })
  id: string;

  @Field(() => String, { nullable: true, description: 'The reason: 1 to 500 characters.' })
  reason?: string | null;
}

@ObjectType({ description: 'The result of `mintKey`. secret is null only in the answer to a repeat of the request.' })
class MintKeyPayload {
  @Field(() => ApiKey, { nullable: true, description: 'The new key.' })
  key: ApiKey;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The secret. It is shown only here.' })
  secret: string;
}

@ObjectType({ description: 'The result of `updateKey`.' })
class UpdateKeyPayload {
  @Field({ description: 'The key after the change.' })
  key: ApiKey;
}

@ObjectType({ description: 'The result of `rotateKey`. secret is null only in the answer to a repeat of the request.' })
class RotateKeyPayload {
  @Field(() => ApiKey, { nullable: true, description: 'The key after the change.' })
  key: ApiKey;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The new secret. It is shown only here.' })
  secret: string;
}

@ObjectType({ description: 'The result of `revokeKey`.' })
class RevokeKeyPayload {
  @Field({ description: 'The key after the change.' })
  key: ApiKey;
}

@Resolver(() => ApiKey)
export class KeyResolver {
  constructor(private readonly service: KeyService) {}

  @Query(() => ApiKey, {
    nullable: true,
    description: 'The key with this id, or null if it does not exist or the caller may not see it. Requires `read.keys`.',
  })
  key(@Arg('id', () => ID, { description: 'Begins with `key_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<ApiKey | null> {
    return ctx.seen(by(ApiKey), id, 'read.keys');
  }

  @FieldResolver(() => Project, { description: 'The project that the key belongs to.' })
  project(@Root() key: ApiKey, @Ctx() ctx: GraphQLContext): Promise<Project> {
    return ctx.need(by(Project), key.projectId);
  }

  @FieldResolver(() => Role, { nullable: true, description: 'The role that adds its permissions, or null.' })
  async role(@Root() { roleId }: ApiKey, @Ctx() ctx: GraphQLContext): Promise<Role | null> {
    return roleId === null ? null : (builtInRole(roleId) ?? ctx.load(by(Role), roleId));
  }

  @FieldResolver(() => Creator, {
    nullable: true,
    description: 'The actor that minted the key; null for a key from a version that did not store it. Requires `read.keys`.',
  })
  createdBy(@Root() { createdByKind, createdById, createdByUserId }: ApiKey): Creator | null {
    if (createdByKind === null || createdById === null) return null;
    return { actorKind: createdByKind, actorId: createdById, userId: createdByUserId };
  }

  @FieldResolver(() => KeyStatus, { description: 'Whether the key works now, and the reason if it does not.' })
  async status(@Root() key: ApiKey, @Ctx() ctx: GraphQLContext): Promise<KeyStatus> {
    return statusOf(key, await ctx.need(by(Project), key.projectId), await ctx.now());
  }

  @FieldResolver(() => Date, {
    nullable: true,
    description: 'Time until which the secret before the last rotation works, or null if it does not work.',
  })
  async previousSecretValidUntil(@Root() key: ApiKey, @Ctx() ctx: GraphQLContext): Promise<Date | null> {
    const [until, now] = await Promise.all([ctx.load(gracesOf, key.id), ctx.now()]);
    return previousSecretWorksUntil(key, until, now);
  }

  @Mutation(() => MintKeyPayload, {
    nullable: true,
    description:
      'Create a key. Its secret is only in this answer.' +
      '\n\nRequires `write.keys` and the right to grant every permission of the key. Errors: `NOT_FOUND` for the project or the role; ' +
      '`CONFLICT` if the project is archived; `FORBIDDEN` for a permission that the caller may not grant.',
  })
  async mintKey(@Arg('input', { description: 'The new key.' }) input: MintKeyInput, @Ctx() ctx: GraphQLContext): Promise<MintKeyPayload> {
    return this.service.mint(await ctx.originFor(by(Project), input.projectId, 'write.keys'), input);
  }

  @Mutation(() => UpdateKeyPayload, {
    nullable: true,
    description:
      'Change a key. The change applies from the next call, on every node. An `expiresAt` in the past ends the key now.' +
      '\n\nRequires `write.keys` and the right to grant every permission of the key; `enabled: false` alone requires only `write.keys`. ' +
      'Errors: `NOT_FOUND` for the key or the role; `FORBIDDEN` for a permission that the caller may not grant; ' +
      '`CONFLICT` if the key is revoked, or if `expectedVersion` is not the current version.',
  })
  async updateKey(
    @Arg('input', { description: 'The changes.' }) input: UpdateKeyInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateKeyPayload> {
    return { key: await this.service.update(await ctx.originFor(by(ApiKey), input.id, 'write.keys'), input) };
  }

  @Mutation(() => RotateKeyPayload, {
    nullable: true,
    description:
      'Give a key a new secret. The replaced secret works for `graceSeconds` more, and an older one stops now. ' +
      'The secret is only in this answer.' +
      '\n\nRequires `write.keys` and the right to grant every permission of the key. Errors: `NOT_FOUND`; ' +
      '`CONFLICT` if the key is revoked or has expired.',
  })
  async rotateKey(@Arg('input', { description: 'The key.' }) input: RotateKeyInput, @Ctx() ctx: GraphQLContext): Promise<RotateKeyPayload> {
    return this.service.rotate(await ctx.originFor(by(ApiKey), input.id, 'write.keys'), input);
  }

  @Mutation(() => RevokeKeyPayload, {
    nullable: true,
    description:
      'Revoke a key and its secrets at once and for ever. A repeat returns the same and changes nothing.' +
      '\n\nRequires `write.keys`. Errors: `NOT_FOUND`.',
  })
  async revokeKey(@Arg('input', { description: 'The key.' }) input: RevokeKeyInput, @Ctx() ctx: GraphQLContext): Promise<RevokeKeyPayload> {
    return { key: await this.service.revoke(await ctx.originFor(by(ApiKey), input.id, 'write.keys'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceKeysResolver {
  @FieldResolver(() => ApiKeyConnection, {
    nullable: true,
    description: 'The keys of all its projects, newest first by default. Requires `read.keys`.',
  })
  async keys(
    @Root() { id: workspaceId }: Workspace,
    @Args() page: PageArgs,
    @Arg('filter', () => ApiKeyFilter, { nullable: true, description: 'Selects keys.' }) filter: ApiKeyFilter | null,
    @Arg('orderBy', () => NamedOrder, { nullable: true, description: 'Default: newest first.' }) orderBy: NamedOrder | null,
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
      'The live keys that they minted in this workspace directly, through an application, or with one of their keys. ' +
      'Newest first. Revoked and expired keys are left out. ' +
      '`removeMember` revokes them with `revokeKeys`. Requires `read.keys`.',
  })
  async liveKeysMinted(
    @Root() { workspaceId, userId }: Membership,
    @Args() page: PageArgs,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<ApiKey>> {
    ctx.require('read.keys', { workspaceId });
    const filter = { status: [KeyStatus.ACTIVE, KeyStatus.DISABLED] };
    return ctx.page(KEYS, { workspaceId, createdByUserId: userId }, { filter, now: await ctx.now() }, page);
  }
}

@Resolver(() => Project)
export class ProjectKeysResolver {
  @FieldResolver(() => ApiKeyConnection, { nullable: true, description: 'Its keys, newest first by default. Requires `read.keys`.' })
  async keys(
    @Root() project: Project,
    @Args() page: PageArgs,
    @Arg('filter', () => ApiKeyFilter, { nullable: true, description: 'Selects keys.' }) filter: ApiKeyFilter | null,
    @Arg('orderBy', () => NamedOrder, { nullable: true, description: 'Default: newest first.' }) orderBy: NamedOrder | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<ApiKey>> {
    ctx.require('read.keys', project);
    return ctx.page(KEYS, { projectId: project.id }, { filter: filter ?? {}, orderBy, now: await ctx.now() }, page);
  }
}
