import { ApiKey } from '../src/keys/key.entity';
import { RequestLog, RequestOutcome } from '../src/requests/request-log.entity';
import { Environment } from '../src/tenancy/environment';
import { Project } from '../src/tenancy/project.entity';
import { Workspace } from '../src/tenancy/workspace.entity';
import { LedgerEntry, LedgerKind } from '../src/wallet/ledger-entry.entity';
import { Wallet } from '../src/wallet/wallet.entity';
import { createTestApp, type TestApp } from './support/app';
import { buildProject, buildWorkspace } from './support/factories';
import * as rows from './support/rows';

let app: TestApp;
let workspace: Workspace;
let project: Project;

const START = Date.parse('2026-11-01T00:00:00.000Z');

beforeAll(async () => {
  app = await createTestApp();
  workspace = await buildWorkspace(app);
  project = await buildProject(app, { workspace, budget: 0 });
});

afterAll(() => app.close());

const keyRow = (at: number, values: Partial<ApiKey> = {}) => rows.keyRow(project, at, values);
const logRow = (at: number, values: Partial<RequestLog> = {}) => rows.logRow(project, at, values);

describe('filters', () => {
  let own: { workspace: Workspace; project: Project; other: Project };
  const NOW = Date.parse('2026-11-20T00:00:00.000Z');

  beforeAll(async () => {
    const mine = await buildWorkspace(app);
    own = {
      workspace: mine,
      project: await buildProject(app, { workspace: mine, budget: 0 }),
      other: await buildProject(app, { workspace: mine, budget: 0 }),
    };
  });

  /** Returns the labels of the rows that match a filter, in order and joined. */
  const labelsOf = async (labels: Map<string, string>, type: string, field: string, filter: Record<string, unknown>): Promise<string> => {
    const list = field.replace('LIST', '(filter: $filter, first: 100) { nodes { id } }');
    const operation = `query ($id: ID!, $filter: ${type}) { workspace(id: $id) { ${list} } }`;
    const { data, errors } = await app.graphql(operation, { id: own.workspace.id, filter });
    expect(errors).toBeUndefined();
    let found = data;
    while (!found.nodes) found = Object.values(found)[0];
    return found.nodes
      .map(({ id }: { id: string }) => labels.get(id))
      .sort()
      .join('');
  };

  it('return the calls that match all conditions; a list matches any of its values, and an empty list matches nothing', async () => {
    const make = (values: Partial<RequestLog>, at = NOW) =>
      logRow(at, { workspaceId: own.workspace.id, projectId: own.project.id, ...values });
    const made = {
      a: make({ credentialId: 'key_a', requestId: 'aaaaaaaa-0000-4000-8000-000000000000', ip: '10.0.0.1', chargedMicroCredits: 5 }),
      b: make(
        { credentialId: 'key_b', ip: '2001:db8::1', chargedMicroCredits: 7, environment: Environment.TEST, projectId: own.other.id },
        NOW + 1,
      ),
      c: make({ credentialId: 'key_a', action: 'demo.fail', outcome: RequestOutcome.FAILED, errorCode: 'DEMO_FAILURE' }, NOW + 2),
      d: make(
        {
          credentialId: 'key_b',
          action: 'face.find',
          outcome: RequestOutcome.REFUSED,
          errorCode: 'PAYMENT_REQUIRED',
          httpStatus: 402,
          projectId: own.other.id,
        },
        NOW + 3,
      ),
      e: make(
        { credentialId: 'key_c', outcome: RequestOutcome.EXPIRED, errorCode: 'OUTCOME_UNKNOWN', httpStatus: null, totalMs: null },
        NOW + 4,
      ),
    };
    await app.database.transaction((tx) =>
      tx.insert(
        RequestLog,
        Object.values(made).map((row) => ({ ...row })),
      ),
    );
    const labels = new Map(Object.entries(made).map(([label, { id }]) => [id, label]));
    const left = (filter: Record<string, unknown>) => labelsOf(labels, 'RequestLogFilter', 'requestLogs LIST', filter);
    const at = (ms: number) => new Date(NOW + ms).toISOString();

    expect(await left({})).toBe('abcde');
    expect(await left({ requestId: 'AAAAAAAA-0000-4000-8000-000000000000' })).toBe('a');
    for (const requestId of ['', 'aaaaaaaa', 'aaaaaaaa-0000-4000-8000-000000000000 ']) expect(await left({ requestId })).toBe('');
    expect(await left({ keyId: ['key_a', 'key_c', 'key_z'] })).toBe('ace');
    expect(await left({ projectId: [own.other.id] })).toBe('bd');
    expect(await left({ environment: 'TEST' })).toBe('b');
    expect(await left({ environment: 'LIVE' })).toBe('acde');
    expect(await left({ action: ['demo.fail', 'face.find'] })).toBe('cd');
    for (const name of ['demo.fail ', 'Demo.Fail', 'demo', '%']) expect(await left({ action: [name] })).toBe('');
    expect(await left({ outcome: ['SUCCEEDED'] })).toBe('ab');
    expect(await left({ outcome: ['FAILED', 'REFUSED', 'EXPIRED'] })).toBe('cde');
    expect(await left({ errorCode: ['DEMO_FAILURE', 'OUTCOME_UNKNOWN'] })).toBe('ce');
    expect(await left({ ip: ['10.0.0.1', '2001:DB8:0::1'] })).toBe('ab');
    expect(await left({ ip: ['::ffff:10.0.0.1', 'nowhere'] })).toBe('a');
    expect(await left({ service: ['demo'] })).toBe('abcde');
    expect(await left({ service: ['face'] })).toBe('');
    expect(await left({ minChargedMicroCredits: 5 })).toBe('ab');
    expect(await left({ minChargedMicroCredits: 1, maxChargedMicroCredits: 6 })).toBe('a');
    expect(await left({ maxChargedMicroCredits: 0 })).toBe('cde');
    expect(await left({ keyId: ['key_a', 'key_b'], projectId: [own.other.id] })).toBe('bd');
    expect(await left({ requestId: 'aaaaaaaa-0000-4000-8000-000000000000', outcome: ['FAILED'] })).toBe('');
    expect(await left({ from: at(1), to: at(4) })).toBe('bcd');
    expect(await left({ from: at(4), to: at(4) })).toBe('');
    expect(await left({ keyId: ['key_a', 'key_b'], outcome: ['SUCCEEDED', 'FAILED'], to: at(2), environment: 'LIVE' })).toBe('a');
    for (const none of ['keyId', 'projectId', 'action', 'outcome', 'errorCode']) {
      expect(await left({ [none]: [] })).toBe('');
      expect(await left({ [none]: null })).toBe('abcde');
    }
  });

  it('return the keys of a status, an environment or a project', async () => {
    const now = (await app.database.now()).getTime();
    const [past, future] = [new Date(now - 1_000), new Date(now + 3_600_000)];
    const archived = await buildProject(app, { workspace: own.workspace, budget: 0 });
    await app.services.projects.archive({ actor: { kind: 'SYSTEM', id: 'tests' }, ip: null, userAgent: null }, { id: archived.id });
    const make = (values: Partial<ApiKey>) => keyRow(START, { workspaceId: own.workspace.id, projectId: own.project.id, ...values });
    const made = {
      a: make({ expiresAt: future, name: 'Till 100%', hint: 'acme_live_...x7Qp' }),
      b: make({ name: 'till_2', enabled: false, environment: Environment.TEST }),
      c: make({ projectId: archived.id }),
      d: make({ expiresAt: past, enabled: false }),
      e: make({ expiresAt: past, projectId: archived.id }),
      f: make({ revokedAt: past, expiresAt: past, enabled: false }),
      g: make({ revokedAt: past, projectId: own.other.id, environment: Environment.TEST }),
      h: make({ projectId: own.other.id }),
    };
    await app.database.transaction((tx) =>
      tx.insert(
        ApiKey,
        Object.values(made).map((row) => ({ ...row })),
      ),
    );
    const labels = new Map(Object.entries(made).map(([label, { id }]) => [id, label]));
    const left = (filter: Record<string, unknown>) => labelsOf(labels, 'ApiKeyFilter', 'keys LIST', filter);

    const byStatus = { ACTIVE: 'ah', DISABLED: 'bc', EXPIRED: 'de', REVOKED: 'fg' };
    const { data } = await app.graphql('query ($id: ID!) { workspace(id: $id) { keys { nodes { id status } } } }', {
      id: own.workspace.id,
    });
    for (const [status, expected] of Object.entries(byStatus)) {
      expect(await left({ status: [status] })).toBe(expected);
      const shown = data.workspace.keys.nodes.filter((node: { status: string }) => node.status === status);
      expect(
        shown
          .map(({ id }: { id: string }) => labels.get(id))
          .sort()
          .join(''),
      ).toBe(expected);
    }
    expect(await left({ name: 'TILL' })).toBe('ab');
    expect(await left({ name: '100%' })).toBe('a');
    for (const wildcard of ['%', '_']) expect(await left({ name: wildcard })).toBe(wildcard === '%' ? 'a' : 'b');
    expect(await left({ name: '!' })).toBe('');
    expect(await left({ hint: 'x7q' })).toBe('a');
    const used = now - 500;
    await app.database.transaction((tx) =>
      tx.insert(
        RequestLog,
        [used, used - 1_000].map((at) => logRow(at, { credentialId: made.h.id })),
      ),
    );
    const time = (ms: number) => new Date(ms).toISOString();
    expect(await left({ used: true })).toBe('h');
    expect(await left({ used: false })).toBe('abcdefg');
    expect(await left({ lastUsedFrom: time(used) })).toBe('h');
    expect(await left({ lastUsedFrom: time(used + 1) })).toBe('');
    expect(await left({ lastUsedTo: time(used) })).toBe('');
    expect(await left({ lastUsedTo: time(used + 1) })).toBe('h');
    expect(await left({ status: ['REVOKED', 'ACTIVE', 'ACTIVE'] })).toBe('afgh');
    expect(await left({ status: [] })).toBe('');
    expect(await left({ environment: 'TEST' })).toBe('bg');
    expect(await left({ projectId: [own.other.id, archived.id] })).toBe('cegh');
    expect(await left({ projectId: [] })).toBe('');
    for (const id of [`${own.other.id} `, project.id]) expect(await left({ projectId: [id] })).toBe('');
    expect(await left({ status: ['REVOKED'], environment: 'TEST', projectId: [own.other.id] })).toBe('g');
    expect(await left({ status: null, environment: null, projectId: null })).toBe('abcdefgh');
  });

  it('return the entries of a kind, from an inclusive time to an exclusive time', async () => {
    const { id: accountId } = await app.database.reader.findOneByOrFail(Wallet, { workspaceId: own.workspace.id });
    const made = [LedgerKind.TOPUP, LedgerKind.BONUS, LedgerKind.ALLOCATION, LedgerKind.ADJUSTMENT].map((kind, index) =>
      rows.entryRow(accountId, index + 1, NOW + index, { kind }),
    );
    await app.database.transaction((tx) => tx.insert(LedgerEntry, made));
    const labels = new Map(made.map((row, index) => [`led_${accountId}_${row.seq}`, 'abcd'.charAt(index)]));
    const left = (filter: Record<string, unknown>) => labelsOf(labels, 'LedgerFilter', 'wallet { ledger LIST }', filter);
    const at = (ms: number) => new Date(NOW + ms).toISOString();
    expect(await left({})).toBe('abcd');
    expect(await left({ kind: ['TOPUP', 'ALLOCATION'] })).toBe('ac');
    expect(await left({ kind: Array(17).fill('BONUS') })).toBe('b'); // more values than are looked up one by one
    expect(await left({ kind: [] })).toBe('');
    expect(await left({ kind: ['USAGE', 'REFUND'] })).toBe('');
    expect(await left({ minDelta: 1 })).toBe('abcd');
    expect(await left({ maxDelta: 0 })).toBe('');
    expect(await left({ from: at(1) })).toBe('bcd');
    expect(await left({ to: at(3) })).toBe('abc');
    expect(await left({ from: at(1), to: at(3), kind: ['BONUS', 'ADJUSTMENT'] })).toBe('b');
  });
});

describe('a filter', () => {
  it('with too many values for a database is INVALID_REQUEST, and names the argument', async () => {
    const values = Array.from({ length: 1_001 }, (_, index) => `a${index}`);
    const ask = (filter: object) =>
      app.graphql('query ($id: ID!, $filter: RequestLogFilter) { workspace(id: $id) { requestLogs(filter: $filter) { nodes { id } } } }', {
        id: workspace.id,
        filter,
      });
    for (const argument of ['action', 'keyId', 'projectId', 'errorCode']) {
      const { errors } = await ask({ [argument]: values });
      expect(errors?.[0]?.extensions).toEqual({
        code: 'INVALID_REQUEST',
        issues: [{ path: ['filter', argument], message: 'must be at most 1000 values' }],
      });
      expect((await ask({ [argument]: values.slice(1) })).errors).toBeUndefined();
    }
  });

  it('with an empty or too long text is INVALID_REQUEST, and names the argument', async () => {
    const ask = (filter: object) =>
      app.graphql('query ($id: ID!, $filter: ApiKeyFilter) { workspace(id: $id) { keys(filter: $filter) { nodes { id } } } }', {
        id: workspace.id,
        filter,
      });
    for (const argument of ['name', 'hint']) {
      for (const text of ['', 'x'.repeat(101)]) {
        const { errors } = await ask({ [argument]: text });
        expect(errors?.[0]?.extensions).toEqual({
          code: 'INVALID_REQUEST',
          issues: [{ path: ['filter', argument], message: 'must be 1 to 100 characters' }],
        });
      }
      expect((await ask({ [argument]: '%'.repeat(100) })).errors).toBeUndefined();
    }
  });
});
