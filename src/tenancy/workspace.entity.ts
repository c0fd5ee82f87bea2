import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { VERSION } from '../lib/versions';
import { Node } from '../lib/graphql-types';

@ObjectType({ implements: Node, description: 'A tenant: its projects, its wallet, its people.' })
@Entity('workspaces')
@Index('workspaces_by_slug', ['slug'], { unique: true })
@Index('workspaces_by_age', ['createdAt', 'id'])
@Index('workspaces_by_name', ['name', 'id'])
export class Workspace implements Node {
  @Field(() => ID, { description: 'Begins with `ws_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field({ description: 'What people call it: 1 to 100 characters.' })
  @Column(textColumn(100))
  name: string;

  @Field({ description: 'Its name in addresses, unique and for good: 2 to 40 of a-z, 0-9 and -.' })
  @Column(textColumn(40))
  slug: string;

  @Field({ description: 'Starts every secret minted here: `acme` gives `acme_live_...`.' })
  @Column(textColumn(12))
  keyPrefix: string;

  @Field({ description: 'Whether its people are shut out until they have a second factor.' })
  @Column('boolean', { default: false })
  requiresSecondFactor: boolean;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'When it was created.' })
  @Column(instantColumn)
  createdAt: Date;
}
