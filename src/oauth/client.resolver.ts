import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../graphql/context';
import { ShownOnce, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/versions';
import { Workspace } from '../tenancy/workspace.entity';
import { OAuthClient } from './client.entity';
import { ClientService } from './client.service';
import { CLIENTS } from './client.queries';

const OAuthClientConnection = connectionOf(OAuthClient, 'OAuthClient');

@InputType({ description: 'A new application.' })
class CreateOAuthClientInput {
  @Field(() => ID, { description: 'Of which workspace: its members may let the application act for them.' })
  workspaceId: string;

  @Field({ description: 'What people who are asked read: 1 to 100 characters.' })
  name: string;

  @Field({ description: 'Whether it keeps a secret: true for one that runs on a server of its own, false for one in a browser or on a device.' })
  confidential: boolean;

  @Field(() => [String], { description: 'Where people may be sent back to, word for word: https, and for one that is not confidential also http on 127.0.0.1 or [::1], whatever the port, or a scheme such as com.example.app:. 1 to 20.' })
  redirectUris: string[];
}

@InputType({ description: 'What is to change; an absent field keeps its value.' })
class UpdateOAuthClientInput {
  @Field(() => ID, { description: 'Which client.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => [String], { nullable: true, description: 'All the places that people may be sent back to from now on.' })
  redirectUris?: string[];

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'Which client gets a new secret.' })
class RotateOAuthClientSecretInput {
  @Field(() => ID, { description: 'Which client.' })
  id: string;
}

@InputType({ description: 'Which client ends.' })
class DeleteOAuthClientInput {
  @Field(() => ID, { description: 'Which client.' })
  id: string;
}

@ObjectType({ description: 'What `createOAuthClient` made. secret is null in the answer to a repeat too.' })
class CreateOAuthClientPayload {
  @Field(() => OAuthClient, { nullable: true, description: 'The new client.' })
  client: OAuthClient;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The secret: here and nowhere else, ever; null for one that is not confidential.' })
  secret: string | null;
}

@ObjectType({ description: 'What `updateOAuthClient` changed.' })
class UpdateOAuthClientPayload {
  @Field({ description: 'The client as it is now.' })
  client: OAuthClient;
}

@ObjectType({ description: 'What `rotateOAuthClientSecret` made. secret is null only in the answer to a repeat.' })
class RotateOAuthClientSecretPayload {
  @Field(() => OAuthClient, { nullable: true, description: 'The client as it is now.' })
  client: OAuthClient;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The new secret: here and nowhere else, ever.' })
  secret: string;
}

@ObjectType({ description: 'What `deleteOAuthClient` ended.' })
class DeleteOAuthClientPayload {
  @Field({ description: 'The client, which has ended.' })
  client: OAuthClient;
}

@Resolver(() => OAuthClient)
export class OAuthClientResolver {
  constructor(private readonly service: ClientService) {}

  @Mutation(() => CreateOAuthClientPayload, {
    nullable: true,
    description:
      'Make an application that people may let act for them. Its secret is in this answer and nowhere else, ever.' +
      '\n\nTakes `admin.clients`. Errors: `NOT_FOUND`; `CONFLICT` where the workspace has as many as it may.',
  })
  async createOAuthClient(@Arg('input', { description: 'The new client.' }) input: CreateOAuthClientInput, @Ctx() ctx: GraphQLContext): Promise<CreateOAuthClientPayload> {
    return this.service.create(await ctx.originIn(input.workspaceId, 'admin.clients'), input);
  }

  @Mutation(() => UpdateOAuthClientPayload, {
    nullable: true,
    description: 'Change an application; it counts from the next request on.' + '\n\nTakes `admin.clients`. Errors: `NOT_FOUND`; `CONFLICT` for one that is deleted, or for another version than `expectedVersion`.',
  })
  async updateOAuthClient(@Arg('input', { description: 'What is to change.' }) input: UpdateOAuthClientInput, @Ctx() ctx: GraphQLContext): Promise<UpdateOAuthClientPayload> {
    return { client: await this.service.update(await ctx.originFor(by(OAuthClient), input.id, 'admin.clients'), input) };
  }

  @Mutation(() => RotateOAuthClientSecretPayload, {
    nullable: true,
    description:
      'Give an application a new secret; the one before ends at once. What people have let it do goes on.' +
      '\n\nTakes `admin.clients`. Errors: `NOT_FOUND`; `CONFLICT` for one that is deleted, or not confidential.',
  })
  async rotateOAuthClientSecret(@Arg('input', { description: 'Which client.' }) input: RotateOAuthClientSecretInput, @Ctx() ctx: GraphQLContext): Promise<RotateOAuthClientSecretPayload> {
    return this.service.rotateSecret(await ctx.originFor(by(OAuthClient), input.id, 'admin.clients'), input);
  }

  @Mutation(() => DeleteOAuthClientPayload, {
    nullable: true,
    description:
      'End an application for good, and all its tokens with it, at once and on every node. Repeated, it answers the same and changes nothing.' +
      '\n\nTakes `admin.clients`. Errors: `NOT_FOUND`.',
  })
  async deleteOAuthClient(@Arg('input', { description: 'Which client.' }) input: DeleteOAuthClientInput, @Ctx() ctx: GraphQLContext): Promise<DeleteOAuthClientPayload> {
    return { client: await this.service.delete(await ctx.originFor(by(OAuthClient), input.id, 'admin.clients'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceOAuthClientsResolver {
  @FieldResolver(() => OAuthClientConnection, { nullable: true, description: 'Its applications for OAuth, newest first, without those that were deleted. Takes `read.members`.' })
  async oauthClients(@Root() { id }: Workspace, @Args() page: PageArgs, @Ctx() ctx: GraphQLContext): Promise<Connection<OAuthClient>> {
    ctx.require('read.members', { workspaceId: id });
    return ctx.page(CLIENTS, id, {}, page);
  }
}
