// The evidence of a run, which does not depend on the gate: a record of all calls and answers, and the tables as plain rows.
// Times are milliseconds since 1970. All processes run on one machine and use one clock.

import type { WaysEvidence } from './evidence-ways';

/** One request, sent once. Its user agent is `call/ID`, which is also in its hold and its log row. */
export interface CallRecord {
  id: number;
  node: number;
  secretId: number;
  keyId: string;
  projectId: string;
  action: string;
  /** The requestId that the caller chose, or null if the server made one. */
  requestId: string | null;
  sentAt: number;
  /** When the answer arrived or the connection broke. */
  endedAt: number;
  /** 0 if no answer arrived. */
  status: number;
  code: string | null;
  ok: boolean;
  replay: boolean;
  answeredRequestId: string | null;
  charged: number | null;
  /** Digest of a successful answer to a chosen requestId, without a replay's additions. Every answer to that requestId must have it. */
  digest: string | null;
}

/** One execution at the upstream. */
export interface Execution {
  attempt: string;
  requestId: string;
  action: string;
  receivedAt: number;
  /** The upstream's answer, or `hung` if it never answered. */
  said: 'ok' | 'no' | 'broke' | 'hung';
  saidAt: number | null;
}

/** Time in which a secret must be refused: from an acknowledged change until the request to undo it. */
export interface RefusedSpan {
  secretId: number;
  why: string;
  from: number;
  to: number;
}

/** The time from which a secret may be refused. Before that it must be accepted. */
export interface Doubt {
  secretId: number;
  from: number;
}

/** A limit of a project from `from` to `to`. Between the request to change a limit and its answer, a span covers both limits. */
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
  /** The reference, or the id of the call's request log for a refund. */
  reference: string;
  amount: number;
  acknowledged: boolean;
}

/** A disturbance of a server or of the database, from its start until it was lifted. */
export interface Disturbance {
  kind: string;
  /** The disturbed server, or null for the database. */
  node: number | null;
  from: number;
  to: number;
}

/** A time in which the database server was dead. */
export interface Outage {
  from: number;
  to: number;
}

/** A success of the prober. It calls every server continuously with a key that no administrator changes. */
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

/** The tables after the run. */
export interface Tables {
  logs: LogRow[];
  entries: EntryRow[];
  accounts: AccountRow[];
  claims: ClaimRow[];
  openHolds: string[];
}

/** Everything that the checks compare with the promises. */
export interface Evidence {
  startedAt: number;
  /** When the servers were told to end. Later rows belong to the clean-up of the run. */
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
  /** The expiry of each hold that was seen while it was open. */
  holdExpiries: Map<string, number>;
  /** Prices by action, in micro-credits. */
  prices: Map<string, number>;
  /** Maximum time until the gate answers 200 again without help. */
  recoveryBoundMs: number;
  tables: Tables;
  /** What callers of routes and askers were told. */
  ways: WaysEvidence;
}

/** A broken promise. */
export interface Violation {
  check: string;
  detail: string;
}
