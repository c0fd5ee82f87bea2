// What a run knows without asking the gate: its own record of all that was sent and answered, and the tables as plain rows.
// Times are milliseconds since 1970; everything runs on one machine and so by one clock.

/** One request, sent once: its user agent is `call/ID`, which its hold and its log row carry. */
export interface CallRecord {
  id: number;
  node: number;
  secretId: number;
  keyId: string;
  projectId: string;
  action: string;
  /** What its caller chose, or null where the server made one. */
  requestId: string | null;
  sentAt: number;
  /** When the answer was there, or the connection had broken. */
  endedAt: number;
  /** 0 where no answer came. */
  status: number;
  code: string | null;
  ok: boolean;
  replay: boolean;
  answeredRequestId: string | null;
  charged: number | null;
  /** Of an ok answer to a chosen requestId, less what only a replay has: what every other answer to it has to be. */
  digest: string | null;
}

/** One arrival at the upstream. */
export interface Execution {
  attempt: string;
  requestId: string;
  action: string;
  receivedAt: number;
  /** `hung` where it never answered. */
  said: 'ok' | 'no' | 'broke' | 'hung';
  saidAt: number | null;
}

/** Time in which a secret has to be refused: an administrator's answer said so, and nobody had asked to undo it. */
export interface RefusedSpan {
  secretId: number;
  why: string;
  from: number;
  to: number;
}

/** From when on a secret may be refused at all; before that it is good. */
export interface Doubt {
  secretId: number;
  from: number;
}

/** A project's limit from `from` to `to`; in between two of them lies a change on its way, when either may hold. */
export interface LimitSpan {
  projectId: string;
  from: number;
  to: number;
  rps: number;
  burst: number;
}

/** Credits that an administrator moved, or tried to. */
export interface MoneyMove {
  kind: 'TOPUP' | 'ALLOCATION' | 'REFUND';
  /** The reference, or for a refund the id of the call's log. */
  reference: string;
  amount: number;
  acknowledged: boolean;
}

/** Something that was done to the servers or to their database, from its begin until it was lifted. */
export interface Disturbance {
  kind: string;
  /** The server that it was done to; null where it was the database. */
  node: number | null;
  from: number;
  to: number;
}

/** The database server was dead for all of this time. */
export interface Outage {
  from: number;
  to: number;
}

/** A success of the prober, which calls every server all the time with a key that nobody touches. */
export interface Pulse {
  node: number;
  at: number;
}

export interface LogRow {
  id: string;
  requestId: string;
  projectId: string;
  credentialId: string;
  environment: string;
  service: string;
  action: string;
  outcome: string;
  errorCode: string | null;
  charged: number;
  actionMs: number | null;
  userAgent: string | null;
  createdAt: number;
}

export interface EntryRow {
  accountId: string;
  seq: number;
  kind: string;
  delta: number;
  balanceAfter: number;
  requestLogId: string | null;
  reference: string | null;
}

export interface AccountRow {
  id: string;
  type: 'wallet' | 'budget';
  balance: number;
  held: number;
  entrySeq: number;
}

export interface ClaimRow {
  credentialId: string;
  requestId: string;
  attempt: string;
  state: string;
  digest: string | null;
}

/** The tables when all is over. */
export interface Tables {
  logs: LogRow[];
  entries: EntryRow[];
  accounts: AccountRow[];
  claims: ClaimRow[];
  openHolds: string[];
}

/** All that is held against the promises. */
export interface Evidence {
  startedAt: number;
  /** When the last server was told to end. What was written after it was written for this run's end. */
  endedAt: number;
  calls: CallRecord[];
  executions: Execution[];
  refusedSpans: RefusedSpan[];
  doubts: Doubt[];
  limits: LimitSpan[];
  moves: MoneyMove[];
  disturbances: Disturbance[];
  outages: Outage[];
  pulses: Pulse[];
  /** When each hold that was ever seen open would expire. */
  holdExpiries: Map<string, number>;
  /** By action, in micro-credits. */
  prices: Map<string, number>;
  /** How long the gate may take to answer 200 again by itself. */
  recoveryBoundMs: number;
  tables: Tables;
}

/** A promise that was not kept. */
export interface Violation {
  check: string;
  detail: string;
}
