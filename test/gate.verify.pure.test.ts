import type { ActionFacts, Asker, Call, Credential, CredentialRef, Verification } from '../src/gate/call';
import { decide, type DecideOptions } from '../src/gate/decide';
import type { Admission, Settlement, TickItem, VerifiedVerdict } from '../src/gate/items';
import type { HoldRow, TickState } from '../src/gate/tick/rows';
import { httpStatusOf } from '../src/rest/status';

// How a tick judges verifications, and the requests that settle their holds.

const NOW_MS = 1_700_000_000_000;
const ACTION: ActionFacts = {
  service: 'vision',
  name: 'detect',
  priceMicroCredits: 100,
  unitPrices: [{ unit: 'faces', microCredits: 10, per: 1 }],
  maxChargeMicroCredits: 500,
  permission: 'vision.detect',
  upstreamUrl: null,
  timeoutMs: 1_000,
  passStatuses: [],
};

const ref = (digest: string): CredentialRef => ({ credentialKind: 'API_KEY', digest, namedProjectId: null });

const credential = (digest: string, values: Partial<Credential> = {}): Credential => ({
  ...ref(digest),
  secretGraceUntil: null,
  secretEndedAt: null,
  id: `key_${digest}`,
  name: digest,
  environment: 'LIVE',
  permissions: ['vision.*'],
  scopes: null,
  allowedIps: [],
  enabled: true,
  expiresAt: null,
  revokedAt: null,
  workspaceId: 'ws_1',
  projectId: 'prj_1',
  galleryMode: 'PROJECT',
  archivedAt: null,
  limit: { sustainedRps: 1, burst: 10 },
  ...values,
});

const ASKER: Asker = { id: 'key_asker', workspaceId: 'ws_1', ref: ref('asker'), ip: null };

function stateOf(values: Partial<TickState> = {}, ...credentials: Credential[]): TickState {
  const known = [credential('asker', { permissions: ['verify.keys'] }), credential('caller'), ...credentials];
  return {
    nowUs: NOW_MS * 1_000,
    credentials: new Map(known.map((one) => [one.digest, one])),
    actions: new Map([['vision detect', ACTION]]),
    budgets: new Map([
      ['prj_1', { id: 'prj_1', balance: 1_000, held: 0, entrySeq: 1, theoreticalArrivalUs: 0, arrivalIntervalUs: 0 }],
    ]),
    claims: new Map(),
    openHolds: new Set(),
    singleHolds: new Map(),
    routes: new Set(),
    lockedHolds: new Set(),
    staleHolds: new Map(),
    ended: new Map(),
    ...values,
  };
}

const OPTIONS: DecideOptions = {
  tick: 'log_0VbtrPCQP0bwqxlBb8zrm',
  process: 'p',
  httpStatusOf,
  canRun: () => false,
  logsRefusal: () => true,
  monotonicMs: 5,
};

function admission(verification: Partial<Verification> = {}, values: Partial<Call> = {}): Admission {
  const call = {
    ...ref('caller'),
    statedProjectId: null,
    service: 'vision',
    action: 'detect',
    requestId: 'r1',
    fingerprint: null,
    ip: null,
    userAgent: null,
    holdMs: 60_000,
    arrivedAt: 1,
    verification: { mode: 'charge', asker: ASKER, usage: null, permissions: [], ...verification },
    ...values,
  } as Call;
  const answer: Admission['answer'] = ({ billing, hold }) => `${billing?.chargedMicroCredits} ${hold?.attempt}`;
  return { kind: 'admission', call, credentialId: `key_${call.digest}`, projectId: 'prj_1', answer };
}

const tick = (items: TickItem[], state = stateOf()) => ({ ...decide(items, state, OPTIONS), budget: state.budgets.get('prj_1') });

const EMPTY = { budgets: [], holds: [], singleHolds: [], logs: [], entries: [], claims: [], endedClaims: [], refusalCounts: [] };

it('bills a charge in the tick that admits it, by the usage that the asker states, without a hold', () => {
  const { writes, verdicts, budget } = tick([admission({ usage: { faces: 7 } })]);
  expect(verdicts[0]).toMatchObject({ kind: 'verified', billing: { chargedMicroCredits: 170, budgetAvailableMicroCredits: 830 } });
  expect(budget).toMatchObject({ balance: 830, held: 0 });
  expect(writes.holds).toEqual([]);
  expect(writes.singleHolds).toEqual([]);
  expect(writes.entries).toMatchObject([{ delta: -170, balanceAfter: 830 }]);
  expect(writes.logs).toMatchObject([
    { outcome: 'SUCCEEDED', httpStatus: 200, chargedMicroCredits: 170, shortfallMicroCredits: 0, usage: { faces: 7 }, actionMs: null },
  ]);
});

it('refuses the charge that the credits do not cover, and bills those before it', () => {
  const { verdicts, writes } = tick([1, 2, 3].map(() => admission({ usage: { faces: 35 } })));
  expect(verdicts.map((verdict) => (verdict.kind === 'refused' ? verdict.refusal.code : verdict.kind))).toEqual([
    'verified',
    'verified',
    'PAYMENT_REQUIRED',
  ]);
  expect(writes.entries).toHaveLength(2);
  expect(writes.logs.map(({ outcome }) => outcome)).toEqual(['SUCCEEDED', 'SUCCEEDED', 'REFUSED']);
});

it('keeps the answer of a charge at once, so that a repeat in the same tick gets it, and another question is refused', () => {
  const chosen = { fingerprint: 'f' };
  const { verdicts, writes } = tick([admission({}, chosen), admission({}, chosen), admission({}, { fingerprint: 'g' })]);
  expect(verdicts).toMatchObject([
    { kind: 'verified' },
    { kind: 'replay', claim: { answer: '100 undefined', attempt: writes.logs[0]?.id } },
    { kind: 'refused', refusal: { code: 'REQUEST_ID_REUSED' } },
  ]);
  expect(writes.claims).toMatchObject([{ credentialId: 'key_caller', requestId: 'r1', state: 'DONE', chargedMicroCredits: 100 }]);
  expect(writes.entries).toHaveLength(1);
});

it('peeks at rate and budget without writing anything, whatever the result', () => {
  const exhausted = { theoreticalArrivalUs: NOW_MS * 1_000 + 10_000_000, arrivalIntervalUs: 1_000_000 };
  const poor = { id: 'prj_1', balance: 499, held: 0, entrySeq: 1, theoreticalArrivalUs: 0, arrivalIntervalUs: 0 };
  const peek = admission({ mode: 'peek' });
  const fine = tick([peek, peek]);
  expect(fine.verdicts).toMatchObject([{ rate: { remaining: 10 }, billing: { chargedMicroCredits: 0 } }, { rate: { remaining: 10 } }]);
  const limited = tick([peek], stateOf({ budgets: new Map([['prj_1', { ...poor, ...exhausted }]]) }));
  expect(limited.verdicts).toMatchObject([{ kind: 'refused', refusal: { code: 'RATE_LIMITED' } }]);
  const tooPoor = tick([peek, admission({ mode: 'peek', usage: { faces: 39 } })], stateOf({ budgets: new Map([['prj_1', poor]]) }));
  expect(tooPoor.verdicts).toMatchObject([{ kind: 'refused', refusal: { code: 'PAYMENT_REQUIRED' } }, { kind: 'verified' }]);
  const revoked = tick([admission({ mode: 'peek' }, ref('revoked'))], stateOf({}, credential('revoked', { revokedAt: 1 })));
  expect(revoked.verdicts).toMatchObject([{ kind: 'refused', refusal: { code: 'REVOKED_API_KEY' } }]);
  for (const { writes } of [fine, limited, tooPoor, revoked]) expect(writes).toMatchObject(EMPTY);
});

it('checks only the credential and the permissions without an action, and needs no lock', () => {
  const state = stateOf({ budgets: new Map(), actions: new Map() });
  const ask = (permissions: string[]) => admission({ mode: 'credential', permissions }, { service: '', action: '' });
  const { verdicts, writes } = tick([ask([]), ask(['vision.other']), ask(['billing.read'])], state);
  expect(verdicts).toMatchObject([
    { kind: 'verified', rate: undefined, billing: undefined },
    { kind: 'verified' },
    { kind: 'refused', refusal: { code: 'FORBIDDEN', details: { required_permission: 'billing.read' } } },
  ]);
  expect(writes).toMatchObject(EMPTY);
});

it.each<[string, Partial<Credential>, string]>([
  ['revoked', { revokedAt: 1 }, 'REVOKED_API_KEY'],
  ['expired', { expiresAt: NOW_MS }, 'EXPIRED_API_KEY'],
  ['disabled', { enabled: false }, 'DISABLED_API_KEY'],
  ['used from another address', { allowedIps: ['10.0.0.0/8'] }, 'IP_NOT_ALLOWED'],
  ['without the permission', { permissions: ['vision.*', 'read', 'write'] }, 'FORBIDDEN'],
])('lets an asker verify nothing that is %s, and writes nothing', (_state, values, code) => {
  const state = stateOf({}, credential('asker', { permissions: ['verify.keys'], ...values }));
  const modes = ['charge', 'hold', 'peek', 'credential'] as const;
  const { verdicts, writes } = tick(modes.map((mode) => admission({ mode })), state);
  expect(verdicts).toMatchObject(modes.map(() => ({ kind: 'askerRefused', refusal: { code } })));
  expect(writes).toMatchObject(EMPTY);
});

it('bills nothing for a TEST credential, and measures its usage', () => {
  const state = stateOf({}, credential('test', { environment: 'TEST' }));
  const { verdicts, writes } = tick([admission({ usage: { faces: 7 } }, ref('test')), admission({ mode: 'hold' }, ref('test'))], state);
  expect(verdicts).toMatchObject([{ billing: { chargedMicroCredits: 0 } }, { hold: { amount: 0 } }]);
  expect(writes.logs).toMatchObject([{ chargedMicroCredits: 0, usage: { faces: 7 } }]);
  expect(writes.entries).toEqual([]);
});

describe('a hold', () => {
  const opened = () => {
    const { verdicts, writes, budget } = tick([admission({ mode: 'hold' }, { fingerprint: 'f' })]);
    return { hold: (verdicts[0] as VerifiedVerdict).hold as HoldRow, writes, budget };
  };
  const settlement = (hold: HoldRow, fingerprint: string, values: Partial<Settlement> = {}): Settlement => ({
    kind: 'settlement',
    hold,
    ending: { kind: 'posted', usage: { faces: 7 }, httpStatus: 200, answer: () => '', actionMs: null, arrivedAt: null },
    mayBeSingle: true,
    inTimeOnly: true,
    kept: { fingerprint, answer: ({ chargedMicroCredits }) => `${fingerprint} ${chargedMicroCredits}` },
    ...values,
  });
  const openState = (hold: HoldRow, values: Partial<TickState> = {}) =>
    stateOf({
      budgets: new Map([['prj_1', { id: 'prj_1', balance: 1_000, held: 500, entrySeq: 1, theoreticalArrivalUs: 0, arrivalIntervalUs: 0 }]]),
      openHolds: new Set([hold.attempt]),
      singleHolds: new Map([[hold.attempt, hold.expiresAt]]),
      ...values,
    });

  it('reserves the most that the call can cost, in a row of its own, and keeps its answer at once', () => {
    const { hold, writes, budget } = opened();
    expect(hold).toMatchObject({ amount: 500, claimed: false, askerId: 'key_asker', expiresAt: NOW_MS + 60_000 });
    expect(budget).toMatchObject({ balance: 1_000, held: 500 });
    expect([writes.holds, writes.singleHolds, writes.logs]).toEqual([[], [hold], []]);
    expect(writes.claims).toMatchObject([{ state: 'DONE', attempt: hold.attempt, answer: `0 ${hold.attempt}` }]);
  });

  it('is settled by one of two requests in a tick, and the other one learns which', () => {
    const { hold } = opened();
    const { verdicts, writes, budget } = tick([settlement(hold, 'a'), settlement(hold, 'b'), settlement(hold, 'a')], openState(hold));
    expect(verdicts[0]).toMatchObject({ kind: 'settled', outcome: 'SUCCEEDED', answer: 'a 170' });
    for (const later of verdicts.slice(1)) {
      expect(later).toMatchObject({ kind: 'settled', outcome: 'SUCCEEDED', answer: undefined, claim: { fingerprint: 'a' } });
    }
    expect(budget).toMatchObject({ balance: 830, held: 0 });
    expect(writes).toMatchObject({ endedSingleHolds: [hold.attempt], endedHolds: [] });
    expect(writes.claims).toMatchObject([{ credentialId: hold.attempt, requestId: 'settle' }]);
    expect(writes.entries).toHaveLength(1);
  });

  it('is closed as expired by a request that comes at its expiry, and nothing is billed', () => {
    const { hold } = opened();
    const { verdicts, writes } = tick([settlement(hold, 'a')], openState(hold, { nowUs: hold.expiresAt * 1_000 }));
    expect(verdicts).toMatchObject([{ kind: 'settled', outcome: 'EXPIRED', answer: undefined }]);
    expect(writes).toMatchObject({ entries: [], claims: [], logs: [{ outcome: 'EXPIRED', chargedMicroCredits: 0 }] });
  });

  it('is not extended at its expiry, and a sweep that had read it before an extension leaves it', () => {
    const { hold } = opened();
    const renewal = { kind: 'renewal', hold, lastsMs: 60_000, atMostMs: 3_600_000 } as const;
    const sweep = { kind: 'settlement', hold, ending: { kind: 'expired' }, mayBeSingle: true } as const;
    const late = tick([renewal], openState(hold, { nowUs: hold.expiresAt * 1_000 }));
    expect(late.verdicts).toMatchObject([{ kind: 'settled', outcome: 'EXPIRED' }]);
    const { verdicts } = tick([renewal, sweep], openState(hold, { nowUs: (hold.expiresAt - 1) * 1_000 }));
    expect(verdicts).toEqual([{ kind: 'renewed', expiresAt: hold.expiresAt - 1 + 60_000 }, { kind: 'gone' }]);
  });
});
