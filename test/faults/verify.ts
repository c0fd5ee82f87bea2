import { verifyBooks, verifyMoves } from './verify-books';
import { verifyExpiry, verifyRecovery } from './verify-times';
import { verifyRates } from './verify-rates';
import type { CallRecord, Evidence, Execution, LogRow, Violation } from './evidence';

/** The clocks of two processes on one machine, each rounded to milliseconds. */
const ROUNDING_MS = 5;
/** Built-in actions run inside the server: there is no upstream to ask. */
const BUILT_IN_SERVICE = 'demo';
/** Ran to its end, and no success: a log row says so. */
const FAILED_STATUSES = new Set([502, 504]);

/** Holds the evidence against the promises, with no code of the gate. Empty where all were kept. */
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
  ];
}

/** What belongs to what: a call and its log by the user agent, a log and its execution by the attempt. */
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
    if (other) links.violations.push({ check: 'one log row for a call', detail: `call ${id} has ${other.id} and ${log.id}` });
    links.logOfCall.set(id, log);
  }
  for (const execution of executions) {
    if (links.executionOf.has(execution.attempt)) links.violations.push({ check: 'an attempt runs once', detail: `${execution.attempt} ran twice` });
    links.executionOf.set(execution.attempt, execution);
  }
  return links;
}

function callIdOf({ userAgent }: LogRow): number | undefined {
  const [, id] = /^call\/(\d+)$/.exec(userAgent ?? '') ?? [];
  return id === undefined ? undefined : Number(id);
}

/** Every answer tells the truth about what was written. */
function* verifyAnswers({ calls, prices }: Evidence, { logOfCall }: Links): Generator<Violation> {
  const environmentOf = new Map([...logOfCall.values()].map((log) => [log.credentialId, log.environment]));
  for (const call of calls) {
    const log = logOfCall.get(call.id);
    const wrong = (check: string, detail: string): Violation => ({ check, detail: `call ${call.id}, ${call.status} ${call.code ?? ''}: ${detail}` });
    if (call.code === 'INTERNAL') yield wrong('no call meets a bug', 'it was answered INTERNAL');
    if (call.ok && call.replay && log) yield wrong('a replay writes nothing', `it has the log row ${log.id}`);
    if (call.ok && !call.replay) {
      if (log?.outcome !== 'SUCCEEDED') yield wrong('an answered success is billed', log ? `its log says ${log.outcome}` : 'it has no log row');
      else if (log.requestId !== call.answeredRequestId) yield wrong('an answered success is billed', `it was told ${call.answeredRequestId}, its log says ${log.requestId}`);
      else if (log.charged !== call.charged) yield wrong('an answered success is billed', `it was told ${call.charged}, its log says ${log.charged}`);
    }
    if (call.ok) {
      const price = environmentOf.get(call.keyId) === 'TEST' ? 0 : prices.get(call.action);
      if (call.charged !== price) yield wrong('a success costs its price', `it was charged ${call.charged} where ${price} is the price`);
    }
    const failed = (call.status === 200 && !call.ok) || FAILED_STATUSES.has(call.status);
    if (failed && log?.outcome !== 'FAILED') yield wrong('an answered failure is logged', log ? `its log says ${log.outcome}` : 'it has no log row');
  }
}

/** A bill for every success, once, and for nothing else. */
function* verifyBills({ tables, startedAt }: Evidence, { logById, executionOf }: Links): Generator<Violation> {
  const billed = new Map<string, number>();
  for (const entry of tables.entries) {
    if (entry.kind !== 'USAGE') continue;
    const where = `entry ${entry.seq} of ${entry.accountId}`;
    const log = logById.get(entry.requestLogId ?? '');
    if (!log) yield { check: 'a bill has its success', detail: `${where} bills ${entry.requestLogId}, which has no log row` };
    else if (log.outcome !== 'SUCCEEDED') yield { check: 'a bill has its success', detail: `${where} bills ${log.id}, which is ${log.outcome}` };
    else if (log.charged !== -entry.delta || log.projectId !== entry.accountId) yield { check: 'a bill has its success', detail: `${where} and ${log.id} disagree` };
    const bills = (billed.get(entry.requestLogId ?? '') ?? 0) + 1;
    billed.set(entry.requestLogId ?? '', bills);
    if (bills > 1) yield { check: 'a success is billed once', detail: `${entry.requestLogId} has ${bills} bills` };
  }
  for (const log of tables.logs) {
    if (log.outcome !== 'SUCCEEDED') {
      if (log.charged !== 0) yield { check: 'nothing else is billed', detail: `${log.id} is ${log.outcome} and was charged ${log.charged}` };
      continue;
    }
    if (log.charged > 0 && !billed.has(log.id)) yield { check: 'a success is billed once', detail: `${log.id} was charged ${log.charged} and has no entry` };
    if (log.service === BUILT_IN_SERVICE || log.createdAt < startedAt) continue;
    const execution = executionOf.get(log.id);
    if (execution?.said !== 'ok') yield { check: 'what is billed said ok', detail: `${log.id} succeeded, and its upstream ${execution ? `said ${execution.said}` : 'was never asked'}` };
    else if ((execution.saidAt ?? Infinity) > log.createdAt + ROUNDING_MS) yield { check: 'what is billed said ok', detail: `${log.id} was billed before its upstream said ok` };
  }
}

/** Whatever ran was admitted: its attempt has a log row, and that is no refusal. */
function* verifyExecutions({ logById, executionOf }: Links): Generator<Violation> {
  for (const [attempt, execution] of executionOf) {
    const log = logById.get(attempt);
    if (!log) yield { check: 'what ran was logged', detail: `${attempt} ran, said ${execution.said}, and has no log row` };
    else if (log.outcome === 'REFUSED') yield { check: 'what was refused did not run', detail: `${attempt} ran and is logged as refused with ${log.errorCode}` };
    else if (log.outcome === 'EXPIRED' && execution.receivedAt > log.createdAt + ROUNDING_MS) yield { check: 'nothing runs after its end', detail: `${attempt} reached its upstream ${execution.receivedAt - log.createdAt} ms after it was logged as ${log.outcome}` };
  }
}

/** A requestId succeeds at most once, and everyone who brings it is told the same. */
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
  for (const claim of tables.claims) {
    const id = `${claim.credentialId} ${claim.requestId}`;
    if (claim.state === 'DONE' && attempts.get(id) !== claim.attempt) yield { check: 'a claim names its success', detail: `${id} names ${claim.attempt}` };
    if (claim.digest !== null) answers.set(id, claim.digest);
  }
  for (const call of calls) {
    if (!call.ok || call.requestId === null || call.digest === null) continue;
    const id = `${call.keyId} ${call.requestId}`;
    const known = answers.get(id) ?? call.digest;
    answers.set(id, known);
    if (known !== call.digest) yield { check: 'a repeat is answered the same', detail: `call ${call.id} (${call.replay ? 'a replay' : 'the original'}) of ${id} was told another thing` };
  }
}

/** What was sent after an ending was acknowledged is refused; what was sent before one was asked for is not. */
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
      yield { check: 'an ended secret is refused', detail: `call ${call.id} was sent ${call.sentAt - from} ms after its secret was ${why}: ${call.status}, log ${log?.outcome ?? 'none'}` };
    }
  }
  const doubtFrom = new Map(doubts.map(({ secretId, from }) => [secretId, from]));
  for (const call of calls) {
    const isRefusal = call.status === 401 || call.status === 403 || call.status === 404;
    if (isRefusal && call.endedAt < (doubtFrom.get(call.secretId) ?? Infinity)) {
      yield { check: 'a good secret is not refused', detail: `call ${call.id} was answered ${call.status} ${call.code} before anybody had asked to end it` };
    }
  }
}

/** While there is no database there is no success. */
function* verifyOutages({ calls, outages }: Evidence): Generator<Violation> {
  for (const { from, to } of outages) {
    for (const call of calls) {
      if (call.ok && call.sentAt > from && call.endedAt < to) yield { check: 'nothing succeeds without the database', detail: `call ${call.id} did` };
    }
  }
}
