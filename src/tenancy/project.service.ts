import type { EntityManager } from 'typeorm';
import { IsNull } from 'typeorm';
import { z } from 'zod';
import { recordEvent, type Origin } from '../audit/record-event';
import { writeChanges } from '../audit/write-changes';
import { locked, type Database } from '../db/database';
import { isDuplicate } from '../db/failures';
import { expectedVersionRule, nextVersion, requireVersion } from '../db/versions';
import { conflict, notFound, validate } from '../errors';
import { newId } from '../lib/id';
import { idRule, nameRule, slugRule } from '../lib/rules';
import { GalleryMode, Project } from './project.entity';
import { Workspace } from './workspace.entity';

/** The rate limit of a new project if none is given. */
export const DEFAULT_RATE_LIMIT = { sustainedRps: 1_000, burst: 2_000 };

// The state of a rate limit is in microseconds, which stay exact integers this far ahead: about 30 years.
const MAX_BURST_SECONDS = 1e9;

const rateLimitRule = z
  .object({
    sustainedRps: z.number().gt(0, 'must be above 0').max(1_000_000, 'must be at most 1,000,000'),
    burst: z.int('must be a whole number').min(1, 'must be at least 1').max(1_000_000, 'must be at most 1,000,000'),
  })
  .refine((limit) => limit.burst / limit.sustainedRps <= MAX_BURST_SECONDS, 'burst / sustainedRps must be at most 1,000,000,000 seconds');

const galleryModeRule = z.enum(GalleryMode, 'must be ISOLATED or SHARED');

const createRule = z.object({
  workspaceId: idRule,
  name: nameRule,
  slug: slugRule,
  galleryMode: galleryModeRule.default(GalleryMode.ISOLATED),
  rateLimit: rateLimitRule.nullish(),
});

const updateRule = z.object({
  id: idRule,
  name: nameRule.optional(),
  galleryMode: galleryModeRule.optional(),
  rateLimit: rateLimitRule.optional(),
  expectedVersion: expectedVersionRule,
});

export interface ProjectServiceDeps {
  database: Database;
  /** Creates the budget of a new project, in the same transaction. */
  opened(tx: EntityManager, project: Project): Promise<void>;
}

/** Creates, changes and archives the projects of a workspace. */
export class ProjectService {
  constructor(private readonly deps: ProjectServiceDeps) {}

  /** Creates a project with an empty budget. Throws NOT_FOUND if the workspace does not exist, CONFLICT if the slug is taken in it. */
  async create(origin: Origin, raw: z.input<typeof createRule>): Promise<Project> {
    const { rateLimit, ...input } = validate(createRule, raw, 'input');
    try {
      return await this.deps.database.transaction(async (tx) => {
        if (!(await tx.existsBy(Workspace, { id: input.workspaceId }))) notFound();
        const at = await this.deps.database.now(tx);
        const values = { ...input, ...(rateLimit ?? DEFAULT_RATE_LIMIT) };
        const project = Object.assign(new Project(), {
          id: newId('prj', at.getTime()),
          ...values,
          version: 1,
          createdAt: at,
          archivedAt: null,
        });
        await tx.insert(Project, project);
        await this.deps.opened(tx, project);
        await recordEvent(tx, { ...origin, action: 'project.created', subject: project, after: values, at });
        return project;
      });
    } catch (error) {
      throw isDuplicate(error) ? conflict('Another project of this workspace has this slug. Choose another slug.') : error;
    }
  }

  /**
   * Changes the given properties. Throws CONFLICT if an expected version is given and is not the current one. A new rate limit applies
   * from the next call on every node.
   */
  async update(origin: Origin, raw: z.input<typeof updateRule>): Promise<Project> {
    const { id, expectedVersion, rateLimit, ...rest } = validate(updateRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const project = await locked(tx, Project, { id });
      requireVersion(expectedVersion, project);
      const event = { ...origin, action: 'project.updated', subject: project, at: await this.deps.database.now(tx) };
      return writeChanges(tx, Project, { id }, project, { ...rest, ...rateLimit }, event);
    });
  }

  /** Archives a project for ever. Its keys are refused from then on, on every node. Idempotent. */
  async archive(origin: Origin, raw: { id: string }): Promise<Project> {
    const { id } = validate(z.object({ id: idRule }), raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const at = await this.deps.database.now(tx);
      const { affected } = await tx.update(Project, { id, archivedAt: IsNull() }, { archivedAt: at, ...nextVersion });
      const project = (await tx.findOneBy(Project, { id })) ?? notFound();
      if (affected !== 0)
        await recordEvent(tx, {
          ...origin,
          action: 'project.archived',
          subject: project,
          before: { archivedAt: null },
          after: { archivedAt: at },
          at,
        });
      return project;
    });
  }
}
