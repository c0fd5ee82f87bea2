import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { bigintColumn, idColumn, instantColumn, textColumn } from '../db/columns';
import { Node } from '../lib/graphql-types';
import { MicroCredits } from '../lib/scalars';
import { Environment } from '../tenancy/environment';

export enum RequestOutcome {
  SUCCEEDED = 'SUCCEEDED',
  FAILED = 'FAILED',
  REFUSED = 'REFUSED',
  EXPIRED = 'EXPIRED',
}
registerEnumType(RequestOutcome, {
  name: 'RequestOutcome',
  description: 'How a call ended. SUCCEEDED is billed, unless the key is a TEST one or the price nothing; the others never are.',
  valuesConfig: {
    SUCCEEDED: { description: 'The action ran and said ok.' },
    FAILED: { description: 'The action ran and said no (httpStatus 200) or broke (5xx).' },
    REFUSED: { description: 'It never ran.' },
    EXPIRED: { description: 'The server died before the outcome was known.' },
  },
});

@ObjectType({
  implements: Node,
  description:
    'One call whose credential was known. Written once, when its outcome is known; a replay writes none, and past a rate refusals are only counted.',
})
@Entity('request_logs')
@Index('request_logs_by_workspace', ['workspaceId', 'createdAt', 'id'])
@Index('request_logs_by_project', ['projectId', 'createdAt', 'id'])
@Index('request_logs_by_credential', ['credentialId', 'createdAt', 'id'])
@Index('request_logs_by_request_id', ['requestId'])
export class RequestLog implements Node {
  /** The attempt that it logs. */
  @Field(() => ID, { description: 'Begins with `log_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field(() => ID, {
    description: 'What the caller was answered. It may have chosen it, and used it again after a failure: look it up by `RequestLogFilter.requestId`.',
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

  @Field(() => Environment, { description: 'Whether it was a call that is billed.' })
  @Column(textColumn(8))
  environment: Environment;

  @Field({ description: 'The path segment: `face` in `/v1/face/execute`.' })
  @Column(textColumn(63))
  service: string;

  @Field({ description: "The action's name, as the caller gave it." })
  @Column(textColumn(128))
  action: string;

  @Field(() => RequestOutcome, { description: 'How it ended.' })
  @Column(textColumn(16))
  outcome: RequestOutcome;

  @Field(() => String, {
    nullable: true,
    description: "From the error table, or the action's own first code where it said no; OUTCOME_UNKNOWN where EXPIRED; null where the call succeeded.",
  })
  @Column({ ...textColumn(64), nullable: true })
  errorCode: string | null;

  @Field(() => Int, { nullable: true, description: 'Null where EXPIRED: nobody knows what the caller saw.' })
  @Column('int', { nullable: true })
  httpStatus: number | null;

  @Field(() => MicroCredits, { description: 'What it cost: 0 unless it SUCCEEDED, and always for a TEST key.' })
  @Column(bigintColumn)
  chargedMicroCredits: number;

  @Field(() => Float, { nullable: true, description: 'Time inside the action, in milliseconds; null where it never ran.' })
  @Column('double', { nullable: true })
  actionMs: number | null;

  @Field(() => Float, { nullable: true, description: 'From arrival until the answer was ready, in milliseconds; null where EXPIRED.' })
  @Column('double', { nullable: true })
  totalMs: number | null;

  @Field(() => String, { nullable: true, description: "The caller's address." })
  @Column({ ...textColumn(45), nullable: true })
  ip: string | null;

  @Field(() => String, { nullable: true, description: 'As the caller named its software: the first 255 characters.' })
  @Column({ ...textColumn(255), nullable: true })
  userAgent: string | null;

  @Field({ description: 'When this row was written; the call arrived totalMs before.' })
  @Column(instantColumn)
  createdAt: Date;
}
