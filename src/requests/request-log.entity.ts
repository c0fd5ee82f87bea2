import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, instantColumn, jsonColumn, textColumn } from '../db/columns';
import { Node } from '../lib/graphql-types';
import { JsonObject, MicroCredits } from '../lib/scalars';
import { Environment } from '../tenancy/environment';

export enum RequestOutcome {
  SUCCEEDED = 'SUCCEEDED',
  FAILED = 'FAILED',
  REFUSED = 'REFUSED',
  EXPIRED = 'EXPIRED',
}
registerEnumType(RequestOutcome, {
  name: 'RequestOutcome',
  description: 'How a call ended. Only SUCCEEDED is billed, and it is free with a TEST key or a price of 0.',
  valuesConfig: {
    SUCCEEDED: { description: 'The action ran and returned success.' },
    FAILED: { description: 'The action ran and returned a failure (httpStatus 200) or broke (5xx).' },
    REFUSED: { description: 'The action did not run.' },
    EXPIRED: { description: 'The server stopped before the outcome was known.' },
  },
});

@ObjectType({
  implements: Node,
  description:
    'One call with a known credential. Written once, when the outcome is known. A replay writes no log. ' +
    'Refusals above a certain rate are counted, not logged.',
})
@Entity('request_logs')
@Index('request_logs_by_workspace', ['workspaceId', 'createdAt', 'id'])
@Index('request_logs_by_project', ['projectId', 'createdAt', 'id'])
@Index('request_logs_by_credential', ['credentialId', 'createdAt', 'id'])
@Index('request_logs_by_request_id', ['requestId'])
export class RequestLog implements Node {
  /** The id of the attempt that this row logs. */
  @Field(() => ID, { description: 'Begins with `log_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field(() => ID, {
    description:
      'The requestId in the answer to the caller. The caller may choose it, and may use it again after a failure. ' +
      'To look it up, use `RequestLogFilter.requestId`.',
  })
  @Column(textColumn(36))
  requestId: string;

  @Column(idColumn)
  workspaceId: string;

  @Column(idColumn)
  projectId: string;

  @Column(textColumn(16))
  credentialKind: string;

  @Column(idColumn)
  credentialId: string;

  @Field(() => Environment, { description: 'LIVE or TEST. TEST calls are free.' })
  @Column(textColumn(8))
  environment: Environment;

  @Field({ description: 'The service in the path: `face` in `/v1/face/execute`.' })
  @Column(textColumn(63))
  service: string;

  @Field({ description: "The action's name, as the caller gave it." })
  @Column(textColumn(128))
  action: string;

  @Field(() => RequestOutcome, { description: 'How the call ended.' })
  @Column(textColumn(16))
  outcome: RequestOutcome;

  @Field(() => String, {
    nullable: true,
    description:
      "A code of the error table, or the action's own first code if the action returned a failure. " +
      'OUTCOME_UNKNOWN if EXPIRED, null if the call succeeded.',
  })
  @Column({ ...textColumn(64), nullable: true })
  errorCode: string | null;

  @Field(() => Int, {
    nullable: true,
    description: 'The HTTP status of the answer. Null if EXPIRED, because it is not known which answer the caller received.',
  })
  @Column('int', { nullable: true })
  httpStatus: number | null;

  @Field(() => MicroCredits, { description: 'The price charged. 0 unless the call SUCCEEDED, and always 0 for a TEST key.' })
  @Column(bigintColumn)
  chargedMicroCredits: number;

  @Field(() => MicroCredits, {
    nullable: true,
    description: 'The credits that the call reserved before it ran. Null for calls that an older version of Tollgate logged.',
  })
  @Column({ ...bigintColumn, nullable: true })
  heldMicroCredits: number | null;

  @Field(() => MicroCredits, {
    description: 'The part of the price that was not charged, because the call cost more than it had reserved and the budget had no more.',
  })
  @Column({ ...bigintColumn, default: 0 })
  shortfallMicroCredits: number;

  /** The quantity of each unit. GraphQL shows it as a list. */
  @Column({ name: 'usage_json', ...jsonColumn })
  usage: Readonly<Record<string, number>> | null;

  @Field(() => Boolean, { description: 'Whether the action has prices by unit, and the call was billed without any quantity of them.' })
  @Column('boolean', { default: false })
  usageMissing: boolean;

  @Field(() => String, { nullable: true, description: "The seller's own name for the user behind the call, as the call gave it." })
  @Column({ ...textColumn(255), nullable: true })
  subject: string | null;

  @Field(() => JsonObject, { nullable: true, description: 'The metadata that a verification gave.' })
  @Column({ name: 'metadata_json', ...jsonColumn })
  metadata: Record<string, string> | null;

  @Field(() => Float, { nullable: true, description: 'Time inside the action, in milliseconds. Null if the action did not run.' })
  @Column('double', { nullable: true })
  actionMs: number | null;

  @Field(() => Float, { nullable: true, description: 'Time from arrival until the answer was ready, in milliseconds. Null if EXPIRED.' })
  @Column('double', { nullable: true })
  totalMs: number | null;

  @Field(() => String, { nullable: true, description: "The caller's IP address." })
  @Column({ ...textColumn(45), nullable: true })
  ip: string | null;

  @Field(() => String, { nullable: true, description: 'The User-Agent header of the call: its first 255 characters.' })
  @Column({ ...textColumn(255), nullable: true })
  userAgent: string | null;

  @Field({ description: 'Time when this row was written. The call arrived totalMs earlier.' })
  @Column(instantColumn)
  createdAt: Date;
}
