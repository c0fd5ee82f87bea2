import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, instantColumn, numbersColumn, textColumn } from '../db/columns';
import { VERSION } from '../lib/versions';
import { Node } from '../lib/graphql-types';
import { MicroCredits } from '../lib/scalars';

export const PASS_STATUSES =
  'HTTP statuses that reach the caller if the upstream refuses with them: of 400, 403, 404, 409, 410, 422 and 429. ' +
  'Any other 4xx with which it refuses becomes 200. Either way the answer has `ok: false`, and is not billed.';

@ObjectType({ implements: Node, description: 'Something a key can execute, at a price.' })
@Entity('actions')
@Index('actions_by_name', ['service', 'name'], { unique: true })
export class Action implements Node {
  @Field(() => ID, { description: 'Begins with `act_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field({ description: 'The path segment: `face` in `/v1/face/execute`.' })
  @Column(textColumn(63))
  service: string;

  @Field({ description: 'The verb in the body, such as `biofrq.detect`: unique in its service, and free of it.' })
  @Column(textColumn(128))
  name: string;

  @Field(() => MicroCredits, { description: 'What one success costs; zero or more. 2500 is a quarter of a cent.' })
  @Column(bigintColumn)
  priceMicroCredits: number;

  @Field({ description: 'What a key must be granted to run it.' })
  @Column(textColumn(128))
  permission: string;

  /** Null for a built-in action. */
  @Column({ ...textColumn(2000), nullable: true })
  upstreamUrl: string | null;

  @Field(() => Int, { description: 'How long it may take in all, in milliseconds: 100 to 300,000.' })
  @Column('int')
  timeoutMs: number;

  @Field(() => [Int], { description: PASS_STATUSES })
  @Column(numbersColumn(40))
  passStatuses: readonly number[];

  @Field({ description: 'Whether it can be called.' })
  @Column('boolean')
  enabled: boolean;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Column(instantColumn)
  createdAt: Date;
}
