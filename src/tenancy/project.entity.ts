import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { VERSION } from '../lib/version-descriptions';
import { reprefix } from '../lib/id';
import { Node } from '../lib/graphql-types';

export enum GalleryMode {
  ISOLATED = 'ISOLATED',
  SHARED = 'SHARED',
}
registerEnumType(GalleryMode, {
  name: 'GalleryMode',
  description: 'Which gallery of faces or pictures a project uses.',
  valuesConfig: {
    ISOLATED: { description: 'A gallery that only this project uses.' },
    SHARED: { description: 'The gallery of the workspace, shared by all its projects in this mode.' },
  },
});

@ObjectType({ description: 'How fast a project may call, counted over all its keys and all nodes.' })
export class RateLimit {
  @Field(() => Float, { description: 'Sustained calls per second. Above 0, at most 1,000,000.' })
  sustainedRps: number;

  @Field(() => Int, { description: 'Calls that may come at once after a pause. 1 to 1,000,000.' })
  burst: number;
}

@ObjectType({ implements: Node, description: 'A project has one budget, one rate limit and one gallery. Each key belongs to one project.' })
@Entity('projects')
@Index('projects_by_slug', ['workspaceId', 'slug'], { unique: true })
@Index('projects_by_age', ['workspaceId', 'createdAt', 'id'])
@Index('projects_by_name', ['workspaceId', 'name', 'id'])
@Index('projects_living_by_age', ['workspaceId', 'archivedAt', 'createdAt', 'id'])
@Index('projects_living_by_name', ['workspaceId', 'archivedAt', 'name', 'id'])
export class Project implements Node {
  @Field(() => ID, { description: 'Begins with `prj_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Column(idColumn)
  workspaceId: string;

  @Field({ description: 'Display name: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @Field({ description: 'Name for use in URLs: 2 to 40 characters of a-z, 0-9 and -. Unique in its workspace; never changes.' })
  @Column(textColumn(40))
  slug: string;

  @Field(() => GalleryMode, { description: 'Which gallery the project uses.' })
  @Column(textColumn(16))
  galleryMode: GalleryMode;

  @Column('double')
  sustainedRps: number;

  @Column('int')
  burst: number;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'Time of creation.' })
  @Column(instantColumn)
  createdAt: Date;

  @Field(() => Date, {
    nullable: true,
    description: 'Time when the project was archived, or null. An archived project cannot be restored.',
  })
  @Column({ ...instantColumn, nullable: true })
  archivedAt: Date | null;

  @Field(() => ID, { description: "The gallery that this project's calls use: its own, or the one shared in the workspace." })
  get galleryId(): string {
    return galleryId(this);
  }

  @Field(() => RateLimit, { description: 'How fast the project may call.' })
  get rateLimit(): RateLimit {
    return { sustainedRps: this.sustainedRps, burst: this.burst };
  }
}

/** The id of the project's gallery, derived from the id of the project or, if shared, of the workspace. */
export function galleryId(project: { id: string; workspaceId: string; galleryMode: string }): string {
  return reprefix(project.galleryMode === GalleryMode.SHARED ? project.workspaceId : project.id, 'gal');
}
