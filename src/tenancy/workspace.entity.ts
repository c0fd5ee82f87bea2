import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { VERSION } from '../lib/version-descriptions';
import { Node } from '../lib/graphql-types';

@ObjectType({ implements: Node, description: 'A tenant, with its projects, wallet and members.' })
@Entity('workspaces')
@Index('workspaces_by_slug', ['slug'], { unique: true })
@Index('workspaces_by_age', ['createdAt', 'id'])
@Index('workspaces_by_name', ['name', 'id'])
export class Workspace implements Node {
  @Field(() => ID, { description: 'Begins with `ws_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field({ description: 'Display name: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @Field({ description: 'Name for use in URLs: 2 to 40 characters of a-z, 0-9 and -. Unique; never changes.' })
  @Column(textColumn(40))
  slug: string;

  @Field({ description: 'The beginning of each secret minted in the workspace: `acme` gives `acme_live_...`.' })
  @Column(textColumn(12))
  keyPrefix: string;

  @Field({ description: 'Whether members have no access until they have set up a second factor.' })
  @Column('boolean', { default: false })
  requiresSecondFactor: boolean;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'Time of creation.' })
  @Column(instantColumn)
  createdAt: Date;
}
