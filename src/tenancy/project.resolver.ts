import { Arg, Args, Ctx, Field, FieldResolver, Float, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../graphql/context';
import { NamedOrder, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/versions';
import { GalleryMode, Project } from './project.entity';
import { PROJECTS, ProjectFilter } from './project.queries';
import { ProjectService } from './project.service';
import { Workspace } from './workspace.entity';

const ProjectConnection = connectionOf(Project, 'Project');

@InputType({ description: 'How fast a project may call. burst / sustainedRps is at most 1,000,000,000 seconds.' })
class RateLimitInput {
  @Field(() => Float, { description: 'Calls per second, sustained. Above 0, at most 1,000,000.' })
  sustainedRps: number;

  @Field(() => Int, { description: 'Calls at once after a quiet spell. 1 to 1,000,000.' })
  burst: number;
}

@InputType({ description: 'A new project.' })
class CreateProjectInput {
  @Field(() => ID, { description: 'The workspace that it belongs to.' })
  workspaceId: string;

  @Field({ description: '1 to 100 characters.' })
  name: string;

  @Field({ description: "As a workspace's, unique in it." })
  slug: string;

  @Field(() => GalleryMode, { defaultValue: GalleryMode.ISOLATED, description: 'Whether its gallery is its own.' })
  galleryMode: GalleryMode;

  @Field(() => RateLimitInput, { nullable: true, description: '1,000 calls a second with a burst of 2,000 where absent.' })
  rateLimit?: RateLimitInput | null;
}

@InputType({ description: 'What is to change; an absent field keeps its value.' })
class UpdateProjectInput {
  @Field(() => ID, { description: 'Which project.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => GalleryMode, { nullable: true, description: 'Whether its gallery is its own.' })
  galleryMode?: GalleryMode;

  @Field(() => RateLimitInput, { nullable: true, description: 'Counts from the next call, on every node.' })
  rateLimit?: RateLimitInput;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'Which project is to be archived.' })
class ArchiveProjectInput {
  @Field(() => ID, { description: 'Which project.' })
  id: string;
}

@ObjectType({ description: 'What `createProject` made.' })
class CreateProjectPayload {
  @Field({ description: 'The new project.' })
  project: Project;
}

@ObjectType({ description: 'What `updateProject` changed.' })
class UpdateProjectPayload {
  @Field({ description: 'The project as it is now.' })
  project: Project;
}

@ObjectType({ description: 'What `archiveProject` ended.' })
class ArchiveProjectPayload {
  @Field({ description: 'The project as it is now.' })
  project: Project;
}

@Resolver(() => Project)
export class ProjectResolver {
  constructor(private readonly service: ProjectService) {}

  @Query(() => Project, { nullable: true, description: 'A project by its id; null where the caller may not know of it.' })
  project(@Arg('id', () => ID, { description: 'Begins with `prj_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<Project | null> {
    return ctx.seen(by(Project), id);
  }

  @FieldResolver(() => Workspace, { description: 'The workspace that it belongs to.' })
  workspace(@Root() project: Project, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), project.workspaceId);
  }

  @Mutation(() => CreateProjectPayload, {
    nullable: true,
    description:
      'Create a project, with an empty budget.' +
      '\n\nTakes `write.projects`. Errors: `NOT_FOUND` for its workspace; `CONFLICT` where its slug is taken in that.',
  })
  async createProject(
    @Arg('input', { description: 'The new project.' }) input: CreateProjectInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<CreateProjectPayload> {
    return { project: await this.service.create(await ctx.originIn(input.workspaceId, 'write.projects'), input) };
  }

  @Mutation(() => UpdateProjectPayload, {
    nullable: true,
    description:
      "Change a project's name, gallery mode or rate limit. Another limit counts from the next call on, on every node." +
      '\n\nTakes `write.projects`. Errors: `NOT_FOUND`; `CONFLICT` where `expectedVersion` is not the present one.',
  })
  async updateProject(
    @Arg('input', { description: 'What is to change.' }) input: UpdateProjectInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateProjectPayload> {
    return { project: await this.service.update(await ctx.originFor(by(Project), input.id, 'write.projects'), input) };
  }

  @Mutation(() => ArchiveProjectPayload, {
    nullable: true,
    description:
      'For good: its keys stop at once, nothing can be minted in it, its budget can still be taken back. Repeated, it changes nothing.' +
      '\n\nTakes `write.projects`. Errors: `NOT_FOUND`.',
  })
  async archiveProject(
    @Arg('input', { description: 'Which project.' }) input: ArchiveProjectInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<ArchiveProjectPayload> {
    return { project: await this.service.archive(await ctx.originFor(by(Project), input.id, 'write.projects'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceProjectsResolver {
  @FieldResolver(() => ProjectConnection, { nullable: true, description: 'Its projects, newest first unless told otherwise.' })
  projects(
    @Root() { id }: Workspace,
    @Args() page: PageArgs,
    @Arg('includeArchived', () => Boolean, { defaultValue: false, description: 'Those that are archived too.' }) includeArchived: boolean,
    @Arg('filter', () => ProjectFilter, { nullable: true, description: 'Which of them.' }) filter: ProjectFilter | null,
    @Arg('orderBy', () => NamedOrder, { nullable: true, description: 'Newest first where absent.' }) orderBy: NamedOrder | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<Project>> {
    return ctx.page(PROJECTS, id, { filter: filter ?? {}, orderBy, includeArchived }, page);
  }
}
