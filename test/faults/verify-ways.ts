import type { Evidence, LogRow, Violation } from './evidence';
import type { End, Question, RouteCall, Served } from './evidence-ways';
import { WAY_PRICES, WAYS_SERVICE, type WayAction } from './ways';

/** Tolerance for times from two processes on one machine, each rounded to milliseconds. */
const ROUNDING_MS = 5;
const VERIFIED = 'verified';

/** Checks what calls of routes, askers and their holds were told. That each bill has its log row is checked with all other bills. */
export function* verifyWays(evidence: Evidence): Generator<Violation> {
  const logs = evidence.tables.logs.filter(({ service }) => service === WAYS_SERVICE);
  const byId = new Map<number, LogRow[]>();
  for (const log of logs) {
    const [, id] = /^way\/(\d+)$/.exec(log.userAgent ?? '') ?? [];
    byId.set(Number(id), [...(byId.get(Number(id)) ?? []), log]);
  }
  yield* verifyRouteCalls(evidence, byId);
  yield* verifyServed(
    evidence,
    logs.filter(({ action }) => action !== VERIFIED),
  );
  yield* verifyQuestions(evidence, byId);
  yield* verifyEnds(evidence, logs);
}

interface Payer {
  isPoor: boolean;
  environment: 'LIVE' | 'TEST';
}

/** What a success costs. A small budget may cover only a part of a price that is known at the end. */
function isPrice(charged: number | null, cost: number, { isPoor, environment }: Payer): boolean {
  if (charged === null) return false;
  if (environment === 'TEST') return charged === 0;
  return charged === cost || (isPoor && charged < cost);
}

const costOf = (action: WayAction, tokens: number | null): number => WAY_PRICES[action].flat + WAY_PRICES[action].perToken * (tokens ?? 0);

const succeeded = (logs: LogRow[] = []): LogRow[] => logs.filter(({ outcome }) => outcome === 'SUCCEEDED');

/** Checks that a complete answer with a billed status implies exactly one bill, and that repeats get the same answer. */
function* verifyRouteCalls({ ways }: Evidence, byId: Map<number, LogRow[]>): Generator<Violation> {
  const served = new Map(ways.served.map((each) => [each.mark, each]));
  const answers = new Map<string, string>();
  for (const call of ways.routeCalls) {
    const logs = byId.get(call.id) ?? [];
    const what = `way ${call.id}, ${call.action}, ${call.status}`;
    const wrong = (check: string, detail: string): Violation => ({ check, detail: `${what}: ${detail}` });
    const billed = succeeded(logs);
    if (logs.length > 1) yield wrong('a call has one log row', `it has ${logs.length}`);
    if (call.code === 'INTERNAL') yield wrong('no call is answered INTERNAL', 'it was answered INTERNAL');
    if (!call.isApis || call.status === 0) continue;
    const isBilled = call.status >= 200 && call.status < 300;
    const mine = served.get(markIn(call));
    if (mine?.status !== call.status) yield wrong('an answer is the one that the API gave', `the API gave ${mine?.status ?? 'none'}`);
    if (call.replay) {
      if (logs.length > 0) yield wrong('a replay writes nothing', `it has the log row ${logs[0]?.id}`);
    } else if (isBilled) {
      const check = 'a complete answer with a billed status is billed once';
      if (billed.length !== 1) yield wrong(check, `its log says ${logs[0]?.outcome ?? 'nothing'}`);
      else if (billed[0]?.requestId !== call.answeredRequestId) yield wrong(check, `it was told ${call.answeredRequestId}`);
      else if (!isPrice(billed[0].charged, costOf(call.action as WayAction, mine?.tokens ?? 0), call))
        yield wrong('a success costs its price', `it was charged ${billed[0].charged} for ${mine?.tokens} tokens`);
    } else if (logs[0]?.outcome !== 'FAILED') {
      yield wrong('an answer with another status is logged as failed', `its log says ${logs[0]?.outcome ?? 'nothing'}`);
    }
    if (call.requestId === null || !isBilled) continue;
    const id = `${call.keyId} ${call.requestId}`;
    const known = answers.get(id) ?? call.text;
    answers.set(id, known);
    if (known !== call.text) yield wrong('a repeat is answered the same', `${id} got another answer`);
  }
}

const markIn = ({ text }: RouteCall): number => Number(/"mark":(\d+)/.exec(text)?.[1]);

/** Checks that nothing of a route is billed but what its API has served to the end, with a billed status. */
function* verifyServed({ ways }: Evidence, logs: LogRow[]): Generator<Violation> {
  const byRequest = new Map<string, Served[]>();
  for (const each of ways.served) byRequest.set(each.requestId, [...(byRequest.get(each.requestId) ?? []), each]);
  for (const log of succeeded(logs)) {
    const whole = (byRequest.get(log.requestId) ?? []).filter(({ status, completeAt }) => status < 300 && completeAt !== null);
    const check = 'a bill follows a whole answer of the API';
    if (whole.length === 0) yield { check, detail: `${log.id} was billed, but the API has served no whole answer` };
    else if (whole.every(({ receivedAt }) => receivedAt > log.createdAt + ROUNDING_MS))
      yield { check, detail: `${log.id} was billed before the API was asked` };
  }
}

/** Checks that VALID implies a bill or a hold, one for all repeats of a question, and that all repeats get the same answer. */
function* verifyQuestions({ ways, tables }: Evidence, byId: Map<number, LogRow[]>): Generator<Violation> {
  const logOf = new Map(tables.logs.map((log) => [log.id, log]));
  for (const question of ways.questions) {
    const what = `question ${question.id} to ${question.mode}`;
    const wrong = (check: string, detail: string): Violation => ({ check, detail: `${what}: ${detail}` });
    const valid = question.answers.filter((answer) => answer.valid);
    const billed = succeeded(byId.get(question.id));
    if (question.answers.some(({ code }) => code === 'INTERNAL')) yield wrong('no call is answered INTERNAL', 'it was answered INTERNAL');
    if (new Set(valid.map(({ text }) => text)).size > 1) yield wrong('a repeat is answered the same', 'its answers differ');
    if (billed.length > 1) yield wrong('a question is billed once', `it has ${billed.length} bills`);
    const holds = (byId.get(question.id) ?? []).filter(({ outcome }) => outcome !== 'REFUSED');
    if (question.mode === 'hold' && holds.length > 1) yield wrong('a question opens one hold', `it opened ${holds.length}`);
    const [answer] = valid;
    if (!answer) continue;
    if (question.mode === 'charge') yield* verifyCharge(question, answer.charged, billed, wrong);
    else if (logOf.get(answer.holdId ?? '')?.userAgent !== `way/${question.id}`)
      yield wrong('VALID with a hold implies that hold', `${answer.holdId} has no log row`);
  }
}

function* verifyCharge(
  question: Question,
  charged: number | null,
  [bill]: LogRow[],
  wrong: (check: string, detail: string) => Violation,
): Generator<Violation> {
  const check = 'VALID in mode charge is billed once';
  if (!bill) return yield wrong(check, 'it has no bill');
  if (bill.charged !== charged) yield wrong(check, `it was told ${charged}, but its log says ${bill.charged}`);
  // A charge is refused if the budget does not cover it, so it is never a part of the price
  const cost = costOf(VERIFIED, question.tokens);
  if (!isPrice(charged, cost, { ...question, isPoor: false })) yield wrong('a success costs its price', `it was charged ${charged}`);
}

/** Checks that a hold ends once, as it was asked, and that every answer about it is true. */
function* verifyEnds({ ways }: Evidence, logs: LogRow[]): Generator<Violation> {
  const byHold = new Map<string, End[]>();
  for (const end of ways.ends) byHold.set(end.holdId, [...(byHold.get(end.holdId) ?? []), end]);
  const logOf = new Map(logs.map((log) => [log.id, log]));
  for (const end of ways.ends) {
    const log = logOf.get(end.holdId);
    if (!isTrue(end, log)) {
      const told = `${end.status} ${end.code ?? ''} ${end.outcome ?? ''} ${end.charged ?? ''}`;
      const detail = `${end.what} of ${end.holdId} was told ${told}, but its log says ${log?.outcome} ${log?.charged}`;
      yield { check: 'an answer about a hold is true', detail };
    }
  }
  for (const [holdId, ends] of byHold) {
    const log = logOf.get(holdId);
    if (log?.outcome === 'SUCCEEDED' && !ends.some((end) => end.what === 'settle' && isCost(end, log.charged)))
      yield { check: 'a hold is billed as it was settled', detail: `${holdId} was charged ${log.charged}` };
  }
  const charges = new Set(ways.questions.filter(({ mode }) => mode === 'charge').map(({ id }) => `way/${id}`));
  for (const log of succeeded(logs)) {
    if (log.action === VERIFIED && !byHold.has(log.id) && !charges.has(log.userAgent ?? ''))
      yield { check: 'a hold is billed as it was settled', detail: `${log.id} was billed, but nobody has settled it` };
  }
}

function isTrue({ what, status, code, outcome, charged }: End, log: LogRow | undefined): boolean {
  if (status === 0 || status === 503 || status === 429) return true;
  if (status === 409) return log?.outcome === 'SUCCEEDED' || log?.outcome === 'FAILED';
  if (status === 410) return log?.outcome === 'EXPIRED';
  if (status !== 200) return code === 'SERVICE_UNAVAILABLE';
  if (what === 'extend') return true; // it may have ended in any way later
  if (what === 'void') return outcome === 'FAILED' && log?.outcome === 'FAILED';
  return outcome === 'SUCCEEDED' && log?.outcome === 'SUCCEEDED' && charged === log.charged;
}

const isCost = (end: End, charged: number): boolean => isPrice(charged, end.amount ?? costOf(VERIFIED, end.tokens), end);
