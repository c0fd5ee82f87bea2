import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../graphql/context';
import { ShownOnce, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/version-descriptions';
import { Workspace } from '../tenancy/workspace.entity';
import { OAuthClient } from './client.entity';
import { ClientService } from './client.service';
import { CLIENTS } from './client.queries';

const OAuthClientConnection = connectionOf(OAuthClient, 'OAuthClient');

const CONFIDENTIAL =
  'Whether it gets a secret. true for an application on a server; false for one in a browser or on a device, which cannot keep a secret.';
const REDIRECT_URIS =
  '1 to 20 redirect addresses. Requests must name one of them exactly. Each is an https address. An application that is not confidential ' +
  'may also have http on 127.0.0.1 or [::1], which then matches any port, or a custom scheme such as com.example.app:.';
const APPLICATIONS = 'Its OAuth applications, newest first, without deleted ones. Requires `read.members`.';

@InputType({ description: 'A new application.' })
class CreateOAuthClientInput {
  @Field(() => ID, { description: 'The workspace. Its members may authorise the application.' })
  workspaceId: string;

  @Field({ description: 'Name on the consent page: 1 to 100 characters.' })
  name: string;

  @Field({ description: CONFIDENTIAL })
  confidential: boolean;

  @Field(() => [String], { description: REDIRECT_URIS })
  redirectUris: string[];
}

@InputType({ description: 'Changes to an application. An absent field keeps its value.' })
class UpdateOAuthClientInput {
  @Field(() => ID, { description: 'Id of the application.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => [String], { nullable: true, description: 'The new list of redirect addresses, which replaces the old one.' })
  redirectUris?: string[];

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'The application that gets a new secret.' })
class RotateOAuthClientSecretInput {
  @Field(() => ID, { description: 'Id of the application.' })
  id: string;
}

@InputType({ description: 'The application to delete.' })
class DeleteOAuthClientInput {
  @Field(() => ID, { description: 'Id of the application.' })
  id: string;
}

@ObjectType({ description: 'Result of `createOAuthClient`. In the answer to a retry, secret is null.' })
class CreateOAuthClientPayload {
  @Field(() => OAuthClient, { nullable: true, description: 'The new application.' })
  client: OAuthClient;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The secret. It is shown only here. Null if the application is not confidential.' })
  secret: string | null;
}

@ObjectType({ description: 'Result of `updateOAuthClient`.' })
class UpdateOAuthClientPayload {
  @Field({ description: 'The application after the change.' })
  client: OAuthClient;
}

@ObjectType({ description: 'Result of `rotateOAuthClientSecret`. secret is null only in the answer to a retry.' })
class RotateOAuthClientSecretPayload {
  @Field(() => OAuthClient, { nullable: true, description: 'The application after the change.' })
  client: OAuthClient;

  @ShownOnce()
  @Field(() => String, { nullable: true, description: 'The new secret. It is shown only here.' })
  secret: string;
}

@ObjectType({ description: 'Result of `deleteOAuthClient`.' })
class DeleteOAuthClientPayload {
  @Field({ description: 'The deleted application.' })
  client: OAuthClient;
}

@Resolver(() => OAuthClient)
export class OAuthClientResolver {
  constructor(private readonly service: ClientService) {}

  @Mutation(() => CreateOAuthClientPayload, {
    nullable: true,
    description:
      'Create an application that people can authorise to act for them. Its secret is shown only in this answer.' +
      '\n\nRequires `admin.clients`. Errors: `NOT_FOUND`; `CONFLICT` if the workspace already has 100 applications.',
  })
  async createOAuthClient(
    @Arg('input', { description: 'The new application.' }) input: CreateOAuthClientInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<CreateOAuthClientPayload> {
    return this.service.create(await ctx.originIn(input.workspaceId, 'admin.clients'), input);
  }

  @Mutation(() => UpdateOAuthClientPayload, {
    nullable: true,
    description:
      'Change an application. The change takes effect with the next request.' +
      '\n\nRequires `admin.clients`. Errors: `NOT_FOUND`; `CONFLICT` if it is deleted, or its version is not `expectedVersion`.',
  })
  async updateOAuthClient(
    @Arg('input', { description: 'The changes.' }) input: UpdateOAuthClientInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateOAuthClientPayload> {
    return { client: await this.service.update(await ctx.originFor(by(OAuthClient), input.id, 'admin.clients'), input) };
  }

  @Mutation(() => RotateOAuthClientSecretPayload, {
    nullable: true,
    description:
      'Give an application a new secret. The old one stops working at once. Consents stay valid.' +
      '\n\nRequires `admin.clients`. Errors: `NOT_FOUND`; `CONFLICT` if it is deleted or not confidential.',
  })
  async rotateOAuthClientSecret(
    @Arg('input', { description: 'The application.' }) input: RotateOAuthClientSecretInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<RotateOAuthClientSecretPayload> {
    return this.service.rotateSecret(await ctx.originFor(by(OAuthClient), input.id, 'admin.clients'), input);
  }

  @Mutation(() => DeleteOAuthClientPayload, {
    nullable: true,
    description:
      'Delete an application permanently. All its tokens end at once and on every node. Idempotent: a second call changes nothing.' +
      '\n\nRequires `admin.clients`. Errors: `NOT_FOUND`.',
  })
  async deleteOAuthClient(
    @Arg('input', { description: 'The application.' }) input: DeleteOAuthClientInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<DeleteOAuthClientPayload> {
    return { client: await this.service.delete(await ctx.originFor(by(OAuthClient), input.id, 'admin.clients'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceOAuthClientsResolver {
  @FieldResolver(() => OAuthClientConnection, { nullable: true, description: APPLICATIONS })
  async oauthClients(
    @Root() { id }: Workspace,
    @Args() page: PageArgs,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<OAuthClient>> {
    ctx.require('read.members', { workspaceId: id });
    return ctx.page(CLIENTS, id, {}, page);
  }
}
