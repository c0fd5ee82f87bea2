import type { MigrationInterface, QueryRunner } from 'typeorm';

const STEPS = [
  // Workspace.auditEvents, newest first, and the check for events of a workspace without a seal
  'CREATE INDEX IF NOT EXISTS audit_events_by_workspace ON audit_events (workspace_id, created_at, id)',
  // ApiKey.auditEvents, newest first, and lists with filter.subjectId
  'CREATE INDEX IF NOT EXISTS audit_events_by_subject ON audit_events (subject_id, created_at, id)',
  // Lists with filter.actorId: the changes that one person or one key made
  'CREATE INDEX IF NOT EXISTS audit_events_by_actor ON audit_events (actor_id, created_at, id)',
  // Query.auditEvents, newest first
  'CREATE INDEX IF NOT EXISTS audit_events_by_age ON audit_events (created_at, id)',
  `CREATE TABLE IF NOT EXISTS unsealed_events (
    "position" integer PRIMARY KEY AUTOINCREMENT NOT NULL,
    event_id varchar(64) NOT NULL
  )`,
  // the sealer deletes sealed events from the queue, and the audit checks whether an event waits
  'CREATE INDEX IF NOT EXISTS unsealed_events_by_event ON unsealed_events (event_id)',
  // The primary key serves readers of the whole trail, in order.
  `CREATE TABLE IF NOT EXISTS audit_seals (
    position bigint NOT NULL,
    chain_id varchar(64) NOT NULL,
    sequence bigint NOT NULL,
    event_id varchar(64) NOT NULL,
    hash varchar(64) NOT NULL,
    PRIMARY KEY (position)
  )`,
  // a place in a chain is unique, and verification reads a chain in order
  'CREATE UNIQUE INDEX IF NOT EXISTS audit_seals_by_chain ON audit_seals (chain_id, sequence)',
  // the export of one workspace continues from a position
  'CREATE INDEX IF NOT EXISTS audit_seals_by_place ON audit_seals (chain_id, position)',
  // an event is sealed once; also serves AuditEvent.sequence and .hash
  'CREATE UNIQUE INDEX IF NOT EXISTS audit_seals_by_event ON audit_seals (event_id)',
  // The primary key serves the sealer and Query.auditChain.
  `CREATE TABLE IF NOT EXISTS audit_chains (
    id varchar(64) NOT NULL,
    sequence bigint NOT NULL,
    hash varchar(64) NOT NULL,
    PRIMARY KEY (id)
  )`,
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
    for (const step of [...STEPS, FIRST_CHAIN, FILL]) await runner.query(step);
  }

  down(): Promise<void> {
    return Promise.reject(new Error('This migration cannot be undone: without the audit trail, sealed events could no longer be proved.'));
  }
}
