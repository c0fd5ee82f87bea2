import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { VERSION } from '../lib/versions';
import { reprefix } from '../lib/id';
import { Node } from '../lib/graphql-types';

export enum GalleryMode {
  ISOLATED = 'ISOLATED',
  SHARED = 'SHARED',
}
registerEnumType(GalleryMode, {
  name: 'GalleryMode',
  description: 'Whose gallery of faces or pictures a project works in.',
  valuesConfig: {
    ISOLATED: { description: 'One of its own.' },
    SHARED: { description: 'The one that all sharing projects of its workspace have in common.' },
  },
});

@ObjectType({ description: 'How fast a project may call, over all its keys and all nodes together.' })
export class RateLimit {
  @Field(() => Float, { description: 'Calls per second, sustained. Above 0, at most 1,000,000.' })
  sustainedRps: number;

  @Field(() => Int, { description: 'Calls at once after a quiet spell. 1 to 1,000,000.' })
  burst: number;
}

@ObjectType({ implements: Node, description: 'What a key is bound to: one budget, one rate limit, one gallery.' })
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

  @Field({ description: 'What people call it: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @Field({ description: 'Its name in addresses, unique in its workspace and for good: 2 to 40 of a-z, 0-9 and -.' })
  @Column(textColumn(40))
  slug: string;

  @Field(() => GalleryMode, { description: 'Whether its gallery is its own.' })
  @Column(textColumn(16))
  galleryMode: GalleryMode;

  @Column('double')
  sustainedRps: number;

  @Column('int')
  burst: number;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'When it was created.' })
  @Column(instantColumn)
  createdAt: Date;

  @Field(() => Date, { nullable: true, description: 'When it was archived, for good; null while it lives.' })
  @Column({ ...instantColumn, nullable: true })
  archivedAt: Date | null;

  @Field(() => ID, { description: "The gallery that this project's calls work in: its own, or the workspace's shared one." })
  get galleryId(): string {
    return galleryId(this);
  }

  @Field(() => RateLimit, { description: 'How fast it may call.' })
  get rateLimit(): RateLimit {
    return { sustainedRps: this.sustainedRps, burst: this.burst };
  }
}

/** A gallery belongs to one project or one workspace, and its id follows from theirs. */
export function galleryId(project: { id: string; workspaceId: string; galleryMode: string }): string {
  return reprefix(project.galleryMode === GalleryMode.SHARED ? project.workspaceId : project.id, 'gal');
}
