import { verifyBooks, verifyMoves } from './verify-books';
import { verifyExpiry, verifyRecovery } from './verify-times';
import { verifyRates } from './verify-rates';
import { verifyWays } from './verify-ways';
import { WAYS_SERVICE } from './ways';
import type { CallRecord, Evidence, Execution, LogRow, Violation } from './evidence';

/** Tolerance for times from two processes on one machine, each rounded to milliseconds. */
const ROUNDING_MS = 5;
/** Built-in actions run inside the server, so there is no upstream with a record of them. */
const BUILT_IN_SERVICE = 'demo';
/** Statuses of calls that ran and failed. Each has a log row with FAILED. */
const FAILED_STATUSES = new Set([502, 504]);

/** Compares the evidence with the promises, without code of the gate. Returns an empty list if all were kept. */
export function verify(evidence: Evidence): Violation[] {
  const links = linksOf(evidence);
  return [
    ...links.violations,
    ...verifyAnswers(evidence, links),
    ...verifyBills(evidence, links),
    ...verifyExecutions(links),
    ...verifyRepeats(evidence),
    ...verifyEndings(evidence, links),
    ...verifyOutages(evidence),
    ...verifyBooks(evidence),
    ...verifyMoves(evidence),
    ...verifyRates(evidence),
    ...verifyExpiry(evidence),
    ...verifyRecovery(evidence),
    ...verifyWays(evidence),
  ];
}

/** Links between records: a call and its log row by the user agent, a log row and its execution by the attempt. */
interface Links {
  logOfCall: Map<number, LogRow>;
  logById: Map<string, LogRow>;
  executionOf: Map<string, Execution>;
  violations: Violation[];
}

function linksOf({ executions, tables }: Evidence): Links {
  const links: Links = { logOfCall: new Map(), logById: new Map(), executionOf: new Map(), violations: [] };
  for (const log of tables.logs) {
    links.logById.set(log.id, log);
    const id = callIdOf(log);
    if (id === undefined) continue;
    const other = links.logOfCall.get(id);
    if (other) links.violations.push({ check: 'a call has one log row', detail: `call ${id} has ${other.id} and ${log.id}` });
    links.logOfCall.set(id, log);
  }
  for (const execution of executions) {
    if (links.executionOf.has(execution.attempt))
      links.violations.push({ check: 'an attempt runs once', detail: `${execution.attempt} ran twice` });
    links.executionOf.set(execution.attempt, execution);
  }
  return links;
}

function callIdOf({ userAgent }: LogRow): number | undefined {
  const [, id] = /^call\/(\d+)$/.exec(userAgent ?? '') ?? [];
  return id === undefined ? undefined : Number(id);
}

/** Checks that every answer agrees with the written rows. */
function* verifyAnswers({ calls, prices }: Evidence, { logOfCall }: Links): Generator<Violation> {
  const environmentOf = new Map([...logOfCall.values()].map((log) => [log.credentialId, log.environment]));
  for (const call of calls) {
    const log = logOfCall.get(call.id);
    const wrong = (check: string, detail: string): Violation => ({
      check,
      detail: `call ${call.id}, ${call.status} ${call.code ?? ''}: ${detail}`,
    });
    if (call.code === 'INTERNAL') yield wrong('no call is answered INTERNAL', 'it was answered INTERNAL');
    if (call.ok && call.replay && log) yield wrong('a replay writes nothing', `it has the log row ${log.id}`);
    if (call.ok && !call.replay) {
      const unbilled = (detail: string) => wrong('an answered success is billed', detail);
      if (log?.outcome !== 'SUCCEEDED') yield unbilled(log ? `its log says ${log.outcome}` : 'it has no log row');
      else if (log.requestId !== call.answeredRequestId)
        yield unbilled(`it was told ${call.answeredRequestId}, but its log says ${log.requestId}`);
      else if (log.charged !== call.charged) yield unbilled(`it was told ${call.charged}, but its log says ${log.charged}`);
    }
    if (call.ok) {
      const price = environmentOf.get(call.keyId) === 'TEST' ? 0 : prices.get(call.action);
      if (call.charged !== price) yield wrong('a success costs its price', `it was charged ${call.charged}, but the price is ${price}`);
    }
    const failed = (call.status === 200 && !call.ok) || FAILED_STATUSES.has(call.status);
    if (failed && log?.outcome !== 'FAILED')
      yield wrong('an answered failure is logged', log ? `its log says ${log.outcome}` : 'it has no log row');
  }
}

/** Checks that every success is billed exactly once, and nothing else is billed. */
function* verifyBills({ tables, startedAt }: Evidence, { logById, executionOf }: Links): Generator<Violation> {
  const billed = new Map<string, number>();
  for (const entry of tables.entries) {
    if (entry.kind !== 'USAGE') continue;
    const where = `entry ${entry.seq} of ${entry.accountId}`;
    const log = logById.get(entry.requestLogId ?? '');
    const unfounded = (detail: string): Violation => ({ check: 'a bill has its success', detail: `${where} ${detail}` });
    if (!log) yield unfounded(`bills ${entry.requestLogId}, which has no log row`);
    else if (log.outcome !== 'SUCCEEDED') yield unfounded(`bills ${log.id}, which is ${log.outcome}`);
    else if (log.charged !== -entry.delta || log.projectId !== entry.accountId) yield unfounded(`and ${log.id} disagree`);
    const bills = (billed.get(entry.requestLogId ?? '') ?? 0) + 1;
    billed.set(entry.requestLogId ?? '', bills);
    if (bills > 1) yield { check: 'a success is billed once', detail: `${entry.requestLogId} has ${bills} bills` };
  }
  for (const log of tables.logs) {
    if (log.outcome !== 'SUCCEEDED') {
      if (log.charged !== 0)
        yield { check: 'only a success is billed', detail: `${log.id} is ${log.outcome}, but was charged ${log.charged}` };
      continue;
    }
    if (log.charged > 0 && !billed.has(log.id)) {
      yield { check: 'a success is billed once', detail: `${log.id} was charged ${log.charged}, but has no entry` };
    }
    if (log.service === BUILT_IN_SERVICE || log.service === WAYS_SERVICE || log.createdAt < startedAt) continue;
    const execution = executionOf.get(log.id);
    const check = 'a bill follows an ok of the upstream';
    if (execution?.said !== 'ok') {
      const answer = execution ? `answered ${execution.said}` : 'was never asked';
      yield { check, detail: `${log.id} succeeded, but its upstream ${answer}` };
    } else if ((execution.saidAt ?? Infinity) > log.createdAt + ROUNDING_MS) {
      yield { check, detail: `${log.id} was billed before its upstream answered ok` };
    }
  }
}

/** Checks that every execution was admitted: its attempt has a log row, and the row is no refusal. */
function* verifyExecutions({ logById, executionOf }: Links): Generator<Violation> {
  for (const [attempt, execution] of executionOf) {
    const log = logById.get(attempt);
    if (!log) {
      yield { check: 'an execution has a log row', detail: `${attempt} ran and answered ${execution.said}, but has no log row` };
    } else if (log.outcome === 'REFUSED') {
      yield { check: 'a refused call does not run', detail: `${attempt} ran, but is logged as refused with ${log.errorCode}` };
    } else if (log.outcome === 'EXPIRED' && execution.receivedAt > log.createdAt + ROUNDING_MS) {
      const afterMs = execution.receivedAt - log.createdAt;
      yield {
        check: 'no call runs after its hold has ended',
        detail: `${attempt} reached its upstream ${afterMs} ms after it was logged as EXPIRED`,
      };
    }
  }
}

/** Checks that a requestId succeeds at most once, and that every repeat gets the same answer. */
function* verifyRepeats({ calls, tables }: Evidence): Generator<Violation> {
  const attempts = new Map<string, string>();
  for (const log of tables.logs) {
    if (log.outcome !== 'SUCCEEDED') continue;
    const id = `${log.credentialId} ${log.requestId}`;
    const other = attempts.get(id);
    if (other) yield { check: 'a requestId succeeds once', detail: `${id} succeeded as ${other} and as ${log.id}` };
    attempts.set(id, log.id);
  }
  const answers = new Map<string, string>();
  // A claim of an open hold, and of a settlement, is DONE whatever the hold's end is
  const ofWays = new Set(tables.logs.filter(({ service }) => service === WAYS_SERVICE).map(({ id }) => id));
  for (const claim of tables.claims) {
    if (ofWays.has(claim.attempt)) continue;
    const id = `${claim.credentialId} ${claim.requestId}`;
    if (claim.state === 'DONE' && attempts.get(id) !== claim.attempt)
      yield { check: 'a claim names its success', detail: `${id} names ${claim.attempt}` };
    if (claim.digest !== null) answers.set(id, claim.digest);
  }
  for (const call of calls) {
    if (!call.ok || call.requestId === null || call.digest === null) continue;
    const id = `${call.keyId} ${call.requestId}`;
    const known = answers.get(id) ?? call.digest;
    answers.set(id, known);
    if (known !== call.digest) {
      const role = call.replay ? 'a replay' : 'the original';
      yield { check: 'a repeat is answered the same', detail: `call ${call.id} (${role}) of ${id} got another answer` };
    }
  }
}

/** Checks that calls are refused after the end of their secret was acknowledged, and not refused before that end was requested. */
function* verifyEndings({ calls, refusedSpans, doubts }: Evidence, { logOfCall, executionOf }: Links): Generator<Violation> {
  const bySecret = new Map<number, CallRecord[]>();
  for (const call of calls) {
    const list = bySecret.get(call.secretId);
    if (list) list.push(call);
    else bySecret.set(call.secretId, [call]);
  }
  for (const { secretId, why, from, to } of refusedSpans) {
    for (const call of bySecret.get(secretId) ?? []) {
      if (call.sentAt <= from || call.endedAt >= to) continue;
      const log = logOfCall.get(call.id);
      const admitted = call.status === 200 || (log !== undefined && (log.outcome !== 'REFUSED' || executionOf.has(log.id)));
      if (!admitted) continue;
      const answer = `${call.status}, log ${log?.outcome ?? 'none'}`;
      const detail = `call ${call.id} was sent ${call.sentAt - from} ms after its secret was ${why}: ${answer}`;
      yield { check: 'an ended secret is refused', detail };
    }
  }
  const doubtFrom = new Map(doubts.map(({ secretId, from }) => [secretId, from]));
  for (const call of calls) {
    const isRefusal = call.status === 401 || call.status === 403 || call.status === 404;
    if (isRefusal && call.endedAt < (doubtFrom.get(call.secretId) ?? Infinity)) {
      yield {
        check: 'a valid secret is not refused',
        detail: `call ${call.id} got ${call.status} ${call.code} before an administrator asked to end its secret`,
      };
    }
  }
}

/** Checks that no call succeeds while the database is dead. */
function* verifyOutages({ calls, outages }: Evidence): Generator<Violation> {
  for (const { from, to } of outages) {
    for (const call of calls) {
      if (call.ok && call.sentAt > from && call.endedAt < to)
        yield { check: 'nothing succeeds without the database', detail: `call ${call.id} succeeded` };
    }
  }
}
