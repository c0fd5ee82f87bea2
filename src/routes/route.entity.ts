import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Column, Entity, Index, PrimaryColumn } from 'typeorm';
import { idColumn, instantColumn, textColumn } from '../db/columns';
import { MaxItems, Node } from '../lib/graphql-types';
import { VERSION } from '../lib/version-descriptions';
import { MAX_BILLED_STATUSES, MAX_PATH_LENGTH, MAX_UPSTREAM_URL_LENGTH, MAX_USAGE_SOURCES } from './limits';
import { ROUTE_METHODS } from './methods';

// Descriptions that the type and its inputs share
export const HOST =
  'The host of the requests, in lower case and without port, such as `api.example.com`. Null for any host. The routes of a host come ' +
  'before the routes of any host.';
export const METHODS = 'Methods such as `GET`. Empty for all methods. `GET` includes `HEAD`. `CONNECT` and `TRACE` are not possible.';
export const PATH =
  'The path of the requests. A segment such as `:id` matches any one segment that is not empty. `*` as the last segment matches the ' +
  'rest, even if it is empty. A fixed segment comes before a parameter, and a parameter before `*`. A slash at the end makes another path.';
export const UPSTREAM_URL =
  'The URL of the upstream: http or https, without query. Its path, if it has one, comes before the path of each request.';
export const UPSTREAM_PATH =
  'The path at the upstream, with the parameters of `path`, such as `/v2/:id` or `/archive/*`. Null to keep the path of the request.';
export const BILLED_STATUSES =
  'The statuses of answers that are billed: single ones such as `200`, and classes such as `2xx`. At least one.';
export const USAGE = 'Where the answer has the quantities that are billed by unit. At most 20, each unit once.';
export const REPLAYABLE = 'Whether an `Idempotency-Key` makes a request safe to repeat. Otherwise the header goes to the upstream.';
export const PASS_CREDENTIAL = 'Whether the upstream gets the credential of the caller.';
export const MAX_BODY_BYTES = 'The largest body of a request, in bytes: 0 to 2,147,483,647. 104857600 is 100 MiB.';
export const IDLE_TIMEOUT_MS = 'The longest time without a byte of the request, or of the answer that has begun, in milliseconds: 1,000 to 300,000.';
export const MAX_DURATION_MS = 'The longest time of a request with its answer, in milliseconds: 1,000 to 3,600,000.';
export const ENABLED = 'Whether its requests are served. Otherwise they get 404, also if a wider route would match them.';
export const UNIT = 'The unit: 1 to 40 of `a-z`, `0-9` and `_`, a letter first, such as `output_tokens`.';
export const POINTER = 'A JSON pointer (RFC 6901) into the answer, such as `/usage/completion_tokens`.';
export const PASS_PREFLIGHT = 'Whether the CORS preflights (`OPTIONS`) of its requests pass without a credential. They are not billed.';

@ObjectType({ description: 'Where an answer has the quantity of a unit.' })
export class UsageSource {
  @Field({ description: UNIT })
  unit: string;

  @Field({ description: POINTER })
  pointer: string;
}

@ObjectType({ implements: Node, description: 'An API behind Tollgate: which requests go to which upstream, and which action prices them.' })
@Entity('routes')
@Index('routes_by_age', ['createdAt', 'id'])
export class Route implements Node {
  @Field(() => ID, { description: 'Begins with `rte_`.' })
  @PrimaryColumn(idColumn)
  id: string;

  @Field(() => String, { nullable: true, description: HOST })
  @Column({ ...textColumn(253), nullable: true })
  host: string | null;

  @MaxItems(ROUTE_METHODS.length)
  @Field(() => [String], { description: METHODS })
  @Column('simple-json')
  methods: string[];

  @Field({ description: PATH })
  @Column(textColumn(MAX_PATH_LENGTH))
  path: string;

  /** The action that prices the requests, and whose permission a key needs. */
  @Column(idColumn)
  actionId: string;

  @Field({ description: UPSTREAM_URL })
  @Column(textColumn(MAX_UPSTREAM_URL_LENGTH))
  upstreamUrl: string;

  @Field(() => String, { nullable: true, description: UPSTREAM_PATH })
  @Column({ ...textColumn(MAX_PATH_LENGTH), nullable: true })
  upstreamPath: string | null;

  @MaxItems(MAX_BILLED_STATUSES)
  @Field(() => [String], { description: BILLED_STATUSES })
  @Column('simple-json')
  billedStatuses: string[];

  // USAGE is a reserved word of MySQL
  @MaxItems(MAX_USAGE_SOURCES)
  @Field(() => [UsageSource], { description: USAGE })
  @Column('simple-json', { name: 'usage_sources' })
  usage: UsageSource[];

  @Field({ description: REPLAYABLE })
  @Column('boolean')
  replayable: boolean;

  @Field({ description: PASS_CREDENTIAL })
  @Column('boolean')
  passCredential: boolean;

  @Field(() => Int, { description: MAX_BODY_BYTES })
  @Column('int')
  maxBodyBytes: number;

  @Field(() => Int, { description: IDLE_TIMEOUT_MS })
  @Column('int')
  idleTimeoutMs: number;

  @Field(() => Int, { description: MAX_DURATION_MS })
  @Column('int')
  maxDurationMs: number;

  @Field({ description: PASS_PREFLIGHT })
  @Column('boolean')
  passPreflight: boolean;

  @Field({ description: ENABLED })
  @Column('boolean')
  enabled: boolean;

  @Field(() => Int, { description: VERSION })
  @Column('int', { default: 1 })
  version: number;

  @Field({ description: 'Time of creation.' })
  @Column(instantColumn)
  createdAt: Date;
}
