import type { Evidence, LogRow } from './faults/evidence';
import type { End, Question, RouteCall, WaysEvidence } from './faults/evidence-ways';
import { verifyWays } from './faults/verify-ways';

// Proves that the checks of routes and verifications can fail: each test changes the evidence as a broken gate would.

const T0 = 1_800_000_000_000;
const HALF = { completeAt: null };

interface Sound {
  logs: LogRow[];
  ways: WaysEvidence;
  call: RouteCall;
  charge: Question;
  end: End;
}

function logOf(id: string, way: number, action: string, charged: number): LogRow {
  const ids = { id, requestId: `request-${way}`, projectId: 'prj_one', credentialId: 'key_one', userAgent: `way/${way}` };
  const rest = { environment: 'LIVE', service: 'ways', outcome: 'SUCCEEDED', errorCode: null, actionMs: null, createdAt: T0 + 20 };
  return { ...ids, ...rest, action, charged };
}

/** A call of a route with an Idempotency-Key, a key that was charged, and a hold that was settled with 30 tokens. */
function sound(): Sound {
  const payer = { isPoor: false, environment: 'LIVE' } as const;
  const call: RouteCall = {
    ...{ ...payer, id: 1, keyId: 'key_one', action: 'metered', requestId: 'request-1', answeredRequestId: 'request-1', status: 200 },
    ...{ isApis: true, replay: false, code: null, text: '{"mark":7,"usage":{"tokens":5}}' },
  };
  const answer = { status: 200, valid: true, code: 'VALID', text: 'yes', charged: 300, holdId: null };
  const charge: Question = { ...payer, id: 2, mode: 'charge', tokens: 10, answers: [answer, { ...answer }] };
  const hold: Question = { ...payer, id: 3, mode: 'hold', tokens: null, answers: [{ ...answer, charged: 0, holdId: 'log_3' }] };
  const end: End = {
    ...{ ...payer, holdId: 'log_3', what: 'settle', tokens: 30, amount: null },
    ...{ status: 200, code: null, charged: 500, outcome: 'SUCCEEDED', expiresAt: null },
  };
  const served = [{ requestId: 'request-1', mark: 7, status: 200, tokens: 5, receivedAt: T0, completeAt: T0 + 10 }];
  const logs = [logOf('log_1', 1, 'metered', 150), logOf('log_2', 2, 'verified', 300), logOf('log_3', 3, 'verified', 500)];
  return { logs, call, charge, end, ways: { routeCalls: [call], served, questions: [charge, hold], ends: [end] } };
}

/** Returns the failed checks after a change to sound evidence. */
function foundAfter(change: (evidence: Sound) => void): string[] {
  const evidence = sound();
  change(evidence);
  const { logs, ways } = evidence;
  return [...new Set([...verifyWays({ ways, tables: { logs } } as Evidence)].map(({ check }) => check))];
}

it('reports nothing if every promise is kept', () => {
  expect(foundAfter(() => undefined)).toEqual([]);
});

const BILLED = 'a complete answer with a billed status is billed once';
const SAME = 'a repeat is answered the same';
const TRUE = 'an answer about a hold is true';
const SETTLED = 'a hold is billed as it was settled';

it.each<[string, string, (evidence: Sound) => void]>([
  ['a whole answer without a bill', BILLED, ({ logs }) => logs.shift()],
  ['a whole answer of a call that has expired', BILLED, ({ logs }) => Object.assign(logs[0] as LogRow, { outcome: 'EXPIRED' })],
  ['a wrong price of a route', 'a success costs its price', ({ logs }) => Object.assign(logs[0] as LogRow, { charged: 151 })],
  ['a replay that differs', SAME, ({ ways, call }) => ways.routeCalls.push({ ...call, id: 9, replay: true, text: '{"mark":7}' })],
  ['another answer', 'an answer is the one that the API gave', ({ ways }) => ways.served.forEach((each) => (each.status = 201))],
  ['a bill for half an answer', 'a bill follows a whole answer of the API', ({ ways }) => Object.assign(ways.served[0] ?? {}, HALF)],
  ['VALID without a bill', 'VALID in mode charge is billed once', ({ logs }) => logs.splice(1, 1)],
  ['a question that was billed twice', 'a question is billed once', ({ logs }) => logs.push(logOf('log_4', 2, 'verified', 300))],
  ['repeats with two answers', SAME, ({ charge }) => charge.answers.forEach((each, at) => (each.text += at))],
  ['a hold without a row', 'VALID with a hold implies that hold', ({ logs }) => logs.pop()],
  ['a settlement that was not billed', TRUE, ({ logs }) => Object.assign(logs[2] as LogRow, { outcome: 'EXPIRED' })],
  ['another amount than the one that was told', TRUE, ({ end }) => (end.charged = 499)],
  ['another amount than the one that was asked for', SETTLED, ({ end }) => (end.tokens = 31)],
  ['a hold that nobody has settled', SETTLED, ({ ways }) => ways.ends.pop()],
])('finds %s', (_case, check, change) => {
  expect(foundAfter(change)).toContain(check);
});
