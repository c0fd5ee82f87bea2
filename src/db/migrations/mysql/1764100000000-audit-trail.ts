import type { MigrationInterface, QueryRunner } from 'typeorm';

const INDEXES = [
  // Workspace.auditEvents, newest first, and the check for events of a workspace without a seal
  ['audit_events_by_workspace', 'workspace_id, created_at, id'],
  // ApiKey.auditEvents, newest first, and lists with filter.subjectId
  ['audit_events_by_subject', 'subject_id, created_at, id'],
  // Lists with filter.actorId: the changes that one person or one key made
  ['audit_events_by_actor', 'actor_id, created_at, id'],
  // Query.auditEvents, newest first
  ['audit_events_by_age', 'created_at, id'],
] as const;

const STEPS = [
  `CREATE TABLE IF NOT EXISTS unsealed_events (
    position int NOT NULL AUTO_INCREMENT,
    event_id varchar(64) NOT NULL,
    PRIMARY KEY (position),
    INDEX unsealed_events_by_event (event_id) -- the sealer removes what it sealed, and the audit asks whether an event waits
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // The primary key serves readers of the whole trail, in order.
  `CREATE TABLE IF NOT EXISTS audit_seals (
    position bigint NOT NULL,
    chain_id varchar(64) NOT NULL,
    sequence bigint NOT NULL,
    event_id varchar(64) NOT NULL,
    hash varchar(64) NOT NULL,
    PRIMARY KEY (position),
    UNIQUE INDEX audit_seals_by_chain (chain_id, sequence), -- a place in a chain is given once, and verification reads a chain in its order
    INDEX audit_seals_by_place (chain_id, position), -- the export of one workspace reads on from a position
    UNIQUE INDEX audit_seals_by_event (event_id) -- an event is sealed once, and AuditEvent.sequence and .hash
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  // The primary key serves the sealer and Query.auditChain.
  `CREATE TABLE IF NOT EXISTS audit_chains (
    id varchar(64) NOT NULL,
    sequence bigint NOT NULL,
    hash varchar(64) NOT NULL,
    PRIMARY KEY (id)
  ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
];

/** Can be repeated: it adds only events that are in neither table. */
const FILL = `INSERT INTO unsealed_events (event_id) SELECT id FROM audit_events e
  WHERE NOT EXISTS (SELECT 1 FROM unsealed_events u WHERE u.event_id = e.id)` +
  ` AND NOT EXISTS (SELECT 1 FROM audit_seals s WHERE s.event_id = e.id)
  ORDER BY created_at, id`;

/** Creates the head of the installation's chain. Sealers lock this row, so it must always exist. */
const FIRST_CHAIN = `INSERT INTO audit_chains (id, sequence, hash)
  SELECT 'installation', 0, '' FROM (SELECT 1 AS one) o WHERE NOT EXISTS (SELECT 1 FROM audit_chains c WHERE c.id = 'installation')`;

/** Creates the audit trail: indexes for its lists, seals, chain heads, and the queue of unsealed events with all existing events. */
export class AuditTrail1764100000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    for (const [name, columns] of INDEXES) {
      if (!(await hasIndex(runner, name))) await runner.query(`CREATE INDEX ${name} ON audit_events (${columns})`);
    }
    for (const step of [...STEPS, FIRST_CHAIN, FILL]) await runner.query(step);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: without the audit trail, sealed events could no longer be proved.'));
  }
}

async function hasIndex(runner: QueryRunner, name: string): Promise<boolean> {
  const rows = (await runner.query("SHOW INDEX FROM audit_events WHERE Key_name = ?", [name])) as unknown[];
  return rows.length > 0;
}
