import type { CallRecord, Evidence, LogRow } from './faults/evidence';
import { verify } from './faults/verify';
import { tickBegan, overrunOf } from './faults/verify-rates';
import { newId } from '../src/lib/id';

// Proves that the checks of the fault runs can fail: each test changes the evidence as a broken gate would.

const T0 = 1_800_000_000_000;
const PROJECT = 'prj_one';
const attemptAt = (ms: number): string => newId('log', T0 + ms);

/** Adds a call that ran at its upstream, was billed and answered ok. */
function billedCall(evidence: Evidence, atMs: number): LogRow {
  const id = evidence.calls.length + 1;
  const attempt = attemptAt(atMs);
  const requestId = `request-${id}`;
  const call: CallRecord = {
    id,
    node: 0,
    secretId: 0,
    keyId: 'key_one',
    projectId: PROJECT,
    action: 'faults.quick',
    requestId,
    sentAt: T0 + atMs,
    endedAt: T0 + atMs + 30,
    status: 200,
    code: null,
    ok: true,
    replay: false,
    answeredRequestId: requestId,
    charged: 700,
    digest: `digest-${id}`,
  };
  const log: LogRow = {
    id: attempt,
    requestId,
    projectId: PROJECT,
    credentialId: 'key_one',
    environment: 'LIVE',
    service: 'faults',
    action: 'faults.quick',
    outcome: 'SUCCEEDED',
    errorCode: null,
    charged: 700,
    actionMs: 10,
    userAgent: `call/${id}`,
    createdAt: T0 + atMs + 20,
  };
  evidence.calls.push(call);
  evidence.tables.logs.push(log);
  evidence.executions.push({ attempt, requestId, action: 'faults.quick', receivedAt: T0 + atMs + 8, said: 'ok', saidAt: T0 + atMs + 15 });
  evidence.tables.claims.push({ credentialId: 'key_one', requestId, attempt, state: 'DONE', digest: call.digest });
  bill(evidence, attempt);
  return log;
}

function bill({ tables }: Evidence, attempt: string): void {
  const [budget] = tables.accounts;
  if (!budget) throw new Error('There is no budget.');
  budget.balance -= 700;
  budget.entrySeq += 1;
  tables.entries.push({
    accountId: PROJECT,
    seq: budget.entrySeq,
    kind: 'USAGE',
    delta: -700,
    balanceAfter: budget.balance,
    requestLogId: attempt,
    reference: null,
  });
}

/** Returns the evidence of three calls of a gate that kept every promise. */
function soundEvidence(): Evidence {
  const evidence: Evidence = {
    startedAt: T0,
    endedAt: T0 + 60_000,
    calls: [],
    executions: [],
    refusedSpans: [],
    doubts: [],
    limits: [{ projectId: PROJECT, from: 0, to: Infinity, rps: 10, burst: 5 }],
    moves: [{ kind: 'TOPUP', reference: 'reference-1', amount: 100_000, acknowledged: true }],
    disturbances: [],
    outages: [],
    pulses: [],
    holdExpiries: new Map(),
    prices: new Map([['faults.quick', 700]]),
    recoveryBoundMs: 5_000,
    ways: { routeCalls: [], served: [], questions: [], ends: [] },
    tables: {
      logs: [],
      entries: [
        { accountId: PROJECT, seq: 1, kind: 'TOPUP', delta: 100_000, balanceAfter: 100_000, requestLogId: null, reference: 'reference-1' },
      ],
      accounts: [{ id: PROJECT, type: 'budget', balance: 100_000, held: 0, entrySeq: 1 }],
      claims: [],
      openHolds: [],
    },
  };
  for (const atMs of [0, 1_000, 2_000]) billedCall(evidence, atMs);
  return evidence;
}

const checksOf = (evidence: Evidence): string[] => [...new Set(verify(evidence).map(({ check }) => check))];

/** Returns the failed checks after a change to sound evidence. */
function foundAfter(change: (evidence: Evidence, first: LogRow, call: CallRecord) => void): string[] {
  const evidence = soundEvidence();
  change(evidence, evidence.tables.logs[0] as LogRow, evidence.calls[0] as CallRecord);
  return checksOf(evidence);
}

it('reports nothing if every promise is kept', () => {
  expect(verify(soundEvidence())).toEqual([]);
});

describe('the checks find', () => {
  it('a success that was billed twice', () => {
    expect(foundAfter((evidence, log) => bill(evidence, log.id))).toEqual(['a success is billed once']);
  });

  it('a success without a bill', () => {
    const found = foundAfter(({ tables }) => {
      tables.entries.pop();
      Object.assign(tables.accounts[0] as object, { balance: 100_000 - 1_400, entrySeq: 3 });
    });
    expect(found).toEqual(['a success is billed once']);
  });

  it('a success without a log and without a bill', () => {
    const found = foundAfter(({ tables }) => {
      tables.logs.pop();
      tables.claims.pop();
      tables.entries.pop();
      Object.assign(tables.accounts[0] as object, { balance: 100_000 - 1_400, entrySeq: 3 });
    });
    expect(found).toEqual(['an answered success is billed', 'an execution has a log row']);
  });

  it.each(['no', 'broke', 'hung'] as const)('a bill for a call that did not succeed at its upstream: %s', (said) => {
    expect(foundAfter((evidence) => Object.assign(evidence.executions[0] as object, { said }))).toEqual([
      'a bill follows an ok of the upstream',
    ]);
  });

  it('a bill for a call that never ran', () => {
    expect(foundAfter((evidence) => void evidence.executions.shift())).toEqual(['a bill follows an ok of the upstream']);
  });

  it('a bill for a call with an expired hold', () => {
    expect(foundAfter((_evidence, log) => (log.outcome = 'EXPIRED'))).toEqual(
      expect.arrayContaining(['a bill has its success', 'only a success is billed']),
    );
  });

  it('an attempt that ran twice', () => {
    expect(foundAfter(({ executions }) => executions.push({ ...(executions[0] as (typeof executions)[number]) }))).toEqual([
      'an attempt runs once',
    ]);
  });

  it('a refused call that ran', () => {
    const found = foundAfter((evidence) => {
      const attempt = attemptAt(3_000);
      evidence.executions.push({
        attempt,
        requestId: 'other',
        action: 'faults.quick',
        receivedAt: T0 + 3_000,
        said: 'no',
        saidAt: T0 + 3_000,
      });
      evidence.tables.logs.push({
        ...(evidence.tables.logs[0] as LogRow),
        id: attempt,
        requestId: 'other',
        outcome: 'REFUSED',
        charged: 0,
        userAgent: null,
      });
    });
    expect(found).toEqual(['a refused call does not run']);
  });

  it('an admission after a revocation', () => {
    const from = T0 + 1_500;
    expect(foundAfter((evidence) => evidence.refusedSpans.push({ secretId: 0, why: 'revoked', from, to: Infinity }))).toEqual([
      'an ended secret is refused',
    ]);
    const answeredBefore = T0 + 2_100;
    expect(
      foundAfter((evidence) => evidence.refusedSpans.push({ secretId: 0, why: 'revoked', from: answeredBefore, to: Infinity })),
    ).toEqual([]);
  });

  it('an admission after a revocation that only its log row proves, because its caller hung up', () => {
    const found = foundAfter((evidence) => {
      Object.assign(evidence.calls[2] as object, { status: 0, ok: false, digest: null, charged: null, answeredRequestId: null });
      evidence.refusedSpans.push({ secretId: 0, why: 'archived', from: T0 + 1_500, to: Infinity });
    });
    expect(found).toEqual(['an ended secret is refused']);
  });

  it('a valid secret that is refused', () => {
    const found = foundAfter((evidence, _log, call) => {
      evidence.calls.push({ ...call, id: 99, status: 401, code: 'REVOKED_API_KEY', ok: false, digest: null });
      evidence.doubts.push({ secretId: 0, from: T0 + 5_000 });
    });
    expect(found).toEqual(['a valid secret is not refused']);
  });

  it('a rate limit that was exceeded by one call', () => {
    const found = (calls: number) => foundAfter((evidence) => Array.from({ length: calls }, () => billedCall(evidence, 10_000)));
    expect(found(5)).toEqual([]);
    expect(found(6)).toEqual(['a rate limit is kept']);
  });

  it('a requestId that succeeded twice', () => {
    const found = foundAfter((evidence, log) => {
      const again = billedCall(evidence, 5_000);
      evidence.tables.claims.pop();
      again.requestId = log.requestId;
      Object.assign(evidence.calls.at(-1) as CallRecord, {
        requestId: log.requestId,
        answeredRequestId: log.requestId,
        digest: 'digest-1',
      });
    });
    expect(found).toEqual(expect.arrayContaining(['a requestId succeeds once']));
  });

  it('a replay that differs from its original', () => {
    const found = foundAfter((evidence, _log, call) => evidence.calls.push({ ...call, id: 99, replay: true, digest: 'another' }));
    expect(found).toEqual(['a repeat is answered the same']);
  });

  it('credits that are still held, and balances that are not the sum of their entries', () => {
    expect(foundAfter(({ tables }) => Object.assign(tables.accounts[0] as object, { held: 700 }))).toEqual([
      'nothing stays held at the end',
    ]);
    expect(foundAfter(({ tables }) => tables.openHolds.push('log_one'))).toEqual(['nothing stays held at the end']);
    expect(foundAfter(({ tables }) => Object.assign(tables.accounts[0] as object, { balance: 1 }))).toEqual([
      'a balance is the sum of its entries',
      'credits are neither made nor lost',
    ]);
  });

  it('an acknowledged top-up without an entry, and an entry without a request', () => {
    expect(foundAfter(({ moves }) => moves.push({ kind: 'TOPUP', reference: 'reference-2', amount: 5, acknowledged: true }))).toEqual([
      'credits move as administrators were told',
    ]);
    expect(foundAfter(({ moves }) => void moves.pop())).toEqual(['credits move as administrators were told']);
    expect(foundAfter(({ moves }) => moves.push({ kind: 'TOPUP', reference: 'reference-2', amount: 5, acknowledged: false }))).toEqual([]);
  });

  it('a success while the database was dead', () => {
    expect(foundAfter(({ outages }) => outages.push({ from: T0 - 1, to: T0 + 31 }))).toEqual(['nothing succeeds without the database']);
  });

  it('a hold that was swept too late, and a hold that was swept too early', () => {
    const expired = (expiresAt: number, disturbed = false) =>
      foundAfter((evidence, log) => {
        evidence.tables.logs.push({
          ...log,
          id: 'log_expired',
          requestId: 'other',
          outcome: 'EXPIRED',
          charged: 0,
          userAgent: null,
          createdAt: T0 + 40_000,
        });
        evidence.holdExpiries.set('log_expired', expiresAt);
        if (disturbed) evidence.disturbances.push({ kind: 'database frozen', node: null, from: T0 + 30_000, to: T0 + 32_000 });
      });
    expect(expired(T0 + 35_000)).toEqual([]);
    expect(expired(T0 + 28_000)).toEqual(['a hold expires in time']);
    expect(expired(T0 + 28_000, true)).toEqual([]);
    expect(expired(T0 + 41_000)).toEqual(['a hold expires in time']);
  });

  it('a server that did not come back in time', () => {
    const back = (afterMs: number) =>
      foundAfter(({ disturbances, pulses }) => {
        disturbances.push({ kind: 'server killed', node: 0, from: T0 + 10_000, to: T0 + 11_000 });
        pulses.push({ node: 0, at: T0 + 9_000 }, { node: 0, at: T0 + 11_000 + afterMs });
      });
    expect(back(4_000)).toEqual([]);
    expect(back(6_000)).toEqual(['the gate recovers without help']);
  });
});

describe('a window of admissions', () => {
  const limit = { rps: 10, burst: 2 };
  const at = (...times: number[]) => times.map((from) => ({ from, to: from }));

  it('may have at most burst + rate x time', () => {
    expect(overrunOf(at(0, 0, 100, 200, 300), limit)).toBeUndefined();
    expect(overrunOf(at(0, 0, 99), limit)).toEqual({ from: 0, to: 99, calls: 3 });
    expect(overrunOf(at(0, 5_000, 5_000, 5_050), limit)).toEqual({ from: 5_000, to: 5_050, calls: 3 });
  });

  it('counts an admission only if its whole time span lies within the window', () => {
    expect(
      overrunOf(
        [
          { from: 0, to: 0 },
          { from: 0, to: 0 },
          { from: 0, to: 100 },
        ],
        limit,
      ),
    ).toBeUndefined();
  });

  it('takes the start of a tick from the id of an attempt', () => {
    expect(tickBegan(newId('log', 1_795_306_821_540))).toBe(1_795_306_821_540);
  });
});
