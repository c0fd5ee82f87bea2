import { Arg, Args, Ctx, Field, FieldResolver, Float, ID, InputType, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { GraphQLContext, by } from '../graphql/context';
import { NamedOrder, connectionOf, type Connection } from '../lib/graphql-types';
import { PageArgs } from '../lib/page-args';
import { EXPECTED_VERSION } from '../lib/version-descriptions';
import { GalleryMode, Project } from './project.entity';
import { PROJECTS, ProjectFilter, projectsBySlug } from './project.queries';
import { ProjectService } from './project.service';
import { Workspace } from './workspace.entity';

const ProjectConnection = connectionOf(Project, 'Project');

@InputType({ description: 'How fast a project may call. burst / sustainedRps is at most 1,000,000,000 seconds.' })
class RateLimitInput {
  @Field(() => Float, { description: 'Sustained calls per second. Above 0, at most 1,000,000.' })
  sustainedRps: number;

  @Field(() => Int, { description: 'Calls that may come at once after a pause. 1 to 1,000,000.' })
  burst: number;
}

@InputType({ description: 'A new project.' })
class CreateProjectInput {
  @Field(() => ID, { description: 'The workspace that the project belongs to.' })
  workspaceId: string;

  @Field({ description: '1 to 100 characters.' })
  name: string;

  @Field({ description: '2 to 40 characters of a-z, 0-9 and -. Unique in the workspace; never changes. A taken slug is CONFLICT.' })
  slug: string;

  @Field(() => GalleryMode, { defaultValue: GalleryMode.ISOLATED, description: 'Which gallery the project uses.' })
  galleryMode: GalleryMode;

  @Field(() => RateLimitInput, { nullable: true, description: 'Default: 1,000 calls per second with a burst of 2,000.' })
  rateLimit?: RateLimitInput | null;
}

@InputType({ description: 'Changes of a project. An absent field keeps its value.' })
class UpdateProjectInput {
  @Field(() => ID, { description: 'The project.' })
  id: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  name?: string;

  @Field(() => GalleryMode, { nullable: true, description: 'Which gallery the project uses.' })
  galleryMode?: GalleryMode;

  @Field(() => RateLimitInput, { nullable: true, description: 'Applies from the next call, on every node.' })
  rateLimit?: RateLimitInput;

  @Field(() => Int, { nullable: true, description: EXPECTED_VERSION })
  expectedVersion?: number | null;
}

@InputType({ description: 'The project to archive.' })
class ArchiveProjectInput {
  @Field(() => ID, { description: 'The project.' })
  id: string;
}

@ObjectType({ description: 'The result of `createProject`.' })
class CreateProjectPayload {
  @Field({ description: 'The new project.' })
  project: Project;
}

@ObjectType({ description: 'The result of `updateProject`.' })
class UpdateProjectPayload {
  @Field({ description: 'The project after the change.' })
  project: Project;
}

@ObjectType({ description: 'The result of `archiveProject`.' })
class ArchiveProjectPayload {
  @Field({ description: 'The project after the change.' })
  project: Project;
}

@Resolver(() => Project)
export class ProjectResolver {
  constructor(private readonly service: ProjectService) {}

  @Query(() => Project, {
    nullable: true,
    description: 'The project with this id, or null if it does not exist or the caller may not see it.',
  })
  project(@Arg('id', () => ID, { description: 'Begins with `prj_`.' }) id: string, @Ctx() ctx: GraphQLContext): Promise<Project | null> {
    return ctx.seen(by(Project), id);
  }

  @Query(() => Project, {
    nullable: true,
    description: 'The project with this slug in a workspace, or null if it does not exist or the caller may not see it.',
  })
  async projectBySlug(
    @Arg('workspaceId', () => ID, { description: 'Begins with `ws_`.' }) workspaceId: string,
    @Arg('slug', { description: 'Such as `web`.' }) slug: string,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Project | null> {
    return ctx.knows(workspaceId) ? ctx.load(projectsBySlug, `${workspaceId} ${slug}`) : null;
  }

  @FieldResolver(() => Workspace, { description: 'The workspace that the project belongs to.' })
  workspace(@Root() project: Project, @Ctx() ctx: GraphQLContext): Promise<Workspace> {
    return ctx.need(by(Workspace), project.workspaceId);
  }

  @Mutation(() => CreateProjectPayload, {
    nullable: true,
    description:
      'Create a project, with an empty budget.' +
      '\n\nRequires `write.projects`. Errors: `NOT_FOUND` for the workspace; `CONFLICT` if the slug is taken in this workspace.',
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
      "Change a project's name, gallery mode or rate limit. A new limit applies from the next call, on every node." +
      '\n\nRequires `write.projects`. Errors: `NOT_FOUND`; `CONFLICT` if `expectedVersion` is not the current version.',
  })
  async updateProject(
    @Arg('input', { description: 'The changes.' }) input: UpdateProjectInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<UpdateProjectPayload> {
    return { project: await this.service.update(await ctx.originFor(by(Project), input.id, 'write.projects'), input) };
  }

  @Mutation(() => ArchiveProjectPayload, {
    nullable: true,
    description:
      'Archive a project for ever. Its keys stop at once, and no key can be minted in it. ' +
      'Credits can still be taken back from its budget. A repeat changes nothing.' +
      '\n\nRequires `write.projects`. Errors: `NOT_FOUND`.',
  })
  async archiveProject(
    @Arg('input', { description: 'The project.' }) input: ArchiveProjectInput,
    @Ctx() ctx: GraphQLContext,
  ): Promise<ArchiveProjectPayload> {
    return { project: await this.service.archive(await ctx.originFor(by(Project), input.id, 'write.projects'), input) };
  }
}

@Resolver(() => Workspace)
export class WorkspaceProjectsResolver {
  @FieldResolver(() => ProjectConnection, { nullable: true, description: 'Its projects, newest first by default.' })
  projects(
    @Root() { id }: Workspace,
    @Args() page: PageArgs,
    @Arg('includeArchived', () => Boolean, { defaultValue: false, description: 'Whether to include archived projects.' })
    includeArchived: boolean,
    @Arg('filter', () => ProjectFilter, { nullable: true, description: 'Selects projects.' }) filter: ProjectFilter | null,
    @Arg('orderBy', () => NamedOrder, { nullable: true, description: 'Default: newest first.' }) orderBy: NamedOrder | null,
    @Ctx() ctx: GraphQLContext,
  ): Promise<Connection<Project>> {
    return ctx.page(PROJECTS, id, { filter: filter ?? {}, orderBy, includeArchived }, page);
  }
}
