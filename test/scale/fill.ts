import type { ApiKey } from '../../src/keys/key.entity';
import type { Project } from '../../src/tenancy/project.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from '../support/app';
import { buildKey, buildProject, buildWorkspace } from '../support/factories';

// Fills every list of one workspace, one project and one key with any number of rows. A cross join of two tables of numbers makes the rows
// inside the database, so that a million rows take seconds.

const START = Date.parse('2026-01-01T00:00:00.000Z');
const FOREVER = Date.parse('2099-01-01T00:00:00.000Z');

/** The owners of the filled lists. */
export interface Filled {
  workspace: Workspace;
  project: Project;
  key: ApiKey;
  /** Returns the creation time of row `n` of each list. */
  timeOf(n: number): Date;
  /** Returns the requestId of call `n`. */
  requestIdOf(n: number): string;
}

const RADIX = 1_000;

/** Fills every list with `rows` rows. Every fourth call is FAILED. Every second call is of the key, the others of a different key each. */
export async function fill(app: TestApp, rows: number): Promise<Filled> {
  const workspace = await buildWorkspace(app);
  const project = await buildProject(app, { workspace, budget: 0 });
  const { key } = await buildKey(app, { project });
  const { database } = app;
  const isMysql = database.dialect === 'mysql';
  const join = (...parts: string[]) => (isMysql ? `CONCAT(${parts.join(', ')})` : parts.join(' || '));
  const padded = (prefix: string, length: number) =>
    isMysql ? join(`'${prefix}'`, `LPAD(n, ${length}, '0')`) : join(`'${prefix}'`, `printf('%0${length}d', n)`);
  const at = `${START} + n`;
  const id = (prefix: string) => padded(`${prefix}_`, 22);
  const newest = `'usr_${String(rows - 1).padStart(22, '0')}'`;
  const rest = { ip: 'NULL', user_agent: 'NULL' };
  const tables: Record<string, Record<string, string>> = {
    workspaces: {
      id: id('ws'),
      name: join("'Workspace '", 'n'),
      slug: join("'ws-'", 'n'),
      key_prefix: "'acme'",
      requires_second_factor: '0',
      created_at: at,
    },
    wallets: { id: id('wal'), workspace_id: id('ws'), balance: '0', entry_seq: '0' },
    projects: {
      id: id('prj'),
      workspace_id: `'${workspace.id}'`,
      name: join("'Project '", 'n'),
      slug: join("'prj-'", 'n'),
      gallery_mode: "'ISOLATED'",
      sustained_rps: '1',
      burst: '1',
      created_at: at,
      archived_at: 'NULL',
    },
    api_keys: {
      ...{
        id: id('key'),
        workspace_id: `'${workspace.id}'`,
        project_id: `'${project.id}'`,
        name: join("'Key '", 'n'),
        environment: "'LIVE'",
        hint: "'acme_live_...abcd'",
        permissions: "'[]'",
      },
      ...{
        allowed_ips: "'[]'",
        enabled: 'CASE n % 4 WHEN 0 THEN 0 ELSE 1 END',
        expires_at: 'NULL',
        revoked_at: 'NULL',
        revoked_reason: 'NULL',
        rotated_at: 'NULL',
        role_id: 'NULL',
        created_at: at,
        created_by_user_id: newest,
      },
    },
    request_logs: {
      ...{
        id: id('log'),
        request_id: padded('00000000-0000-4000-8000-', 12),
        workspace_id: `'${workspace.id}'`,
        project_id: `'${project.id}'`,
        credential_kind: "'API_KEY'",
      },
      ...{
        credential_id: `CASE n % 2 WHEN 0 THEN '${key.id}' ELSE ${id('key')} END`,
        environment: "'LIVE'",
        service: "'demo'",
        action: "'demo.echo'",
        outcome: "CASE n % 4 WHEN 0 THEN 'FAILED' ELSE 'SUCCEEDED' END",
      },
      ...{
        error_code: "CASE n % 4 WHEN 0 THEN 'DEMO_FAILURE' END",
        http_status: '200',
        charged_micro_credits: 'n % 4',
        action_ms: '1.5',
        total_ms: '2.5',
        user_agent: "'curl/8.0'",
        ip: join("'10.0.0.'", '(n % 4)'),
        created_at: at,
      },
    },
    ledger_entries: {
      ...{
        account_id: `'${project.id}'`,
        seq: 'n + 1',
        kind: "CASE n % 4 WHEN 0 THEN 'REFUND' ELSE 'USAGE' END",
        delta: 'CASE n % 4 WHEN 0 THEN 1 ELSE -1 END',
        balance_after: '1',
      },
      ...{ linked_entry_id: 'NULL', request_log_id: id('log'), reference: 'NULL', reason: 'NULL', created_at: at },
    },
    audit_events: {
      id: id('evt'),
      workspace_id: `'${workspace.id}'`,
      actor_kind: "'SYSTEM'",
      actor_id: "'tests'",
      action: "CASE n % 4 WHEN 0 THEN 'key.minted' ELSE 'key.updated' END",
      subject_id: `'${key.id}'`,
      before: 'NULL',
      after: 'NULL',
      created_at: at,
      ...rest,
    },
    people: {
      id: id('usr'),
      email: join("'p'", 'n', "'@example.com'"),
      name: join("'Person '", 'n'),
      password_hash: "'x'",
      password_changed_at: at,
      totp_secret: 'NULL',
      totp_enabled_at: 'NULL',
      totp_last_step: 'NULL',
      totp_staged_secret: 'NULL',
      created_at: at,
    },
    memberships: { user_id: id('usr'), workspace_id: `'${workspace.id}'`, role_id: "'rol_viewer'", created_at: at },
    invitations: {
      id: id('inv'),
      workspace_id: `'${workspace.id}'`,
      email: join("'q'", 'n', "'@example.com'"),
      role_id: "'rol_viewer'",
      digest: padded('d', 40),
      invited_by: "'operator'",
      expires_at: String(FOREVER),
      accepted_at: 'NULL',
      withdrawn_at: 'NULL',
      created_at: at,
    },
    service_accounts: {
      ...{
        id: id('svc'),
        workspace_id: `'${workspace.id}'`,
        name: join("'Account '", 'n'),
        hint: "'acme_svc_...abcd'",
        permissions: "'[]'",
        role_id: 'NULL',
        enabled: '1',
        rotation_days: '90',
      },
      ...{
        rotation_due_at: `CASE n % 4 WHEN 0 THEN ${START} ELSE ${FOREVER} END`,
        rotation_due_told_at: 'NULL',
        rotated_at: 'NULL',
        created_at: at,
      },
    },
    oauth_clients: {
      id: id('app'),
      workspace_id: `'${workspace.id}'`,
      name: join("'App '", 'n'),
      redirect_uris: `'["https://app.example/back"]'`,
      secret_digest: 'NULL',
      hint: 'NULL',
      deleted_at: 'NULL',
      created_at: at,
    },
    consents: {
      id: id('con'),
      workspace_id: `'${workspace.id}'`,
      project_id: `'${project.id}'`,
      client_id: `'app_${'0'.repeat(22)}'`,
      user_id: id('usr'),
      scopes: "'[]'",
      expires_at: String(FOREVER),
      ended_at: 'NULL',
      created_at: at,
    },
    actions: {
      id: id('act'),
      service: join("'svc-'", '(n % 4)'),
      name: padded('act-', 12),
      price_micro_credits: '1',
      permission: "'face.detect'",
      upstream_url: 'NULL',
      timeout_ms: '1000',
      enabled: '1',
      created_at: at,
    },
    routes: {
      id: id('rte'),
      host: 'NULL',
      methods: "'[]'",
      path: join("'/things-'", 'n'),
      action_id: `'act_${'0'.repeat(22)}'`,
      upstream_url: "'https://upstream.example'",
      upstream_path: 'NULL',
      billed_statuses: `'["2xx"]'`,
      usage_sources: "'[]'",
      ...{ replayable: '0', pass_credential: '0', pass_preflight: '0', enabled: '0' },
      ...{ max_body_bytes: '0', idle_timeout_ms: '1000', max_duration_ms: '1000', created_at: at },
    },
  };
  const escape = (column: string) => database.reader.connection.driver.escape(column);
  await database.transaction(async (tx) => {
    await tx.query('CREATE TABLE scale_numbers (i int NOT NULL PRIMARY KEY)');
    await tx.query(`INSERT INTO scale_numbers VALUES ${Array.from({ length: RADIX }, (_, i) => `(${i})`).join(', ')}`);
  });
  for (const [table, columns] of Object.entries(tables)) {
    const names = Object.keys(columns).map(escape).join(', ');
    for (let from = 0; from < rows; from += RADIX * 100) {
      const to = Math.min(rows, from + RADIX * 100);
      const numbers = `SELECT a.i * ${RADIX} + b.i AS n FROM scale_numbers a CROSS JOIN scale_numbers b
        WHERE a.i >= ${from / RADIX} AND a.i < ${Math.ceil(to / RADIX)} ORDER BY a.i, b.i`;
      await database.transaction((tx) =>
        tx.query(
          `INSERT INTO ${table} (${names}) SELECT ${Object.values(columns).join(', ')}
            FROM (${numbers}) numbers WHERE n >= ${from} AND n < ${to}`,
        ),
      );
    }
  }
  await database.transaction(async (tx) => {
    await tx.query('DROP TABLE scale_numbers');
    if (isMysql) await tx.query(`ANALYZE TABLE ${Object.keys(tables).join(', ')}`);
  });
  return {
    workspace,
    project,
    key,
    timeOf: (n) => new Date(START + n),
    requestIdOf: (n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
  };
}
