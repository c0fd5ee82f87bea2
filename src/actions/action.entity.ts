import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, instantColumn, jsonListColumn, numbersColumn, textColumn } from '../db/columns';
import { VERSION } from '../lib/version-descriptions';
import { MaxItems, Node } from '../lib/graphql-types';
import { MAX_UNITS } from '../lib/rules';
import { MicroCredits } from '../lib/scalars';
import { UnitPrice } from './unit-prices';

export const PASS_STATUSES =
  'HTTP statuses of refusals that the caller receives unchanged: any of 400, 403, 404, 409, 410, 422 and 429. ' +
  'A refusal with any other 4xx becomes 200. In both cases the answer has `ok: false`, and is not billed.';

export const MAX_CHARGE =
  'The credits that a call reserves before it runs. Required if there are unit prices, and at least `priceMicroCredits`. A call that ' +
  'costs more is charged more only if the budget has more. Null: a call reserves `priceMicroCredits`.';

@ObjectType({ implements: Node, description: 'An operation that a key can execute, with a price.' })
@Entity('actions')
@Index('actions_by_name', ['service', 'name'], { unique: true })
export class Action implements Node {
  @Field(() => ID, { description: 'Begins with `act_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field({ description: 'The service in the path: `face` in `/v1/face/execute`.' })
  @Column(textColumn(63))
  service: string;

  @Field({ description: 'The action in the body, such as `biofrq.detect`. Unique in its service. It may omit the name of the service.' })
  @Column(textColumn(128))
  name: string;

  @Field(() => MicroCredits, { description: 'The flat price of one successful call: zero or more. 2500 is 0.25 cents.' })
  @Column(bigintColumn)
  priceMicroCredits: number;

  @MaxItems(MAX_UNITS)
  @Field(() => [UnitPrice], { description: 'Prices for the quantities that the action reports. They are added to `priceMicroCredits`.' })
  @Column(jsonListColumn)
  unitPrices: readonly UnitPrice[];

  @Field(() => MicroCredits, { nullable: true, description: MAX_CHARGE })
  @Column({ ...bigintColumn, nullable: true })
  maxChargeMicroCredits: number | null;

  @Field({ description: 'The permission that a key needs to run it.' })
  @Column(textColumn(128))
  permission: string;

  /** The URL that execute sends calls to. Null for a built-in action, and for one that execute cannot run. */
  @Column({ ...textColumn(2000), nullable: true })
  upstreamUrl: string | null;

  @Field(() => Int, { description: 'The time limit for the whole action, in milliseconds: 100 to 300,000.' })
  @Column('int')
  timeoutMs: number;

  @MaxItems(7)
  @Field(() => [Int], { description: PASS_STATUSES })
  @Column(numbersColumn(40))
  passStatuses: readonly number[];

  @Field({ description: 'Whether calls may run it.' })
  @Column('boolean')
  enabled: boolean;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Column(instantColumn)
  createdAt: Date;
}
