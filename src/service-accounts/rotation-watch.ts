import { IsNull, LessThanOrEqual } from 'typeorm';
import { systemAuthority } from '../access/authority';
import { recordEvent } from '../audit/record-event';
import { forUpdate, type Database } from '../db/database';
import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import { ServiceAccount } from './service-account.entity';

/** How often a process looks for due rotations. Every process may do it, because each event is written under the account's lock. */
export const ROTATION_WATCH_INTERVAL_MS = 60_000;
const BATCH_SIZE = 100;

export interface RotationWatchDeps {
  database: Database;
  log: Log;
}

/** Writes one event for each rotation that becomes due: only one over all nodes, even if it stays due for long. Disables no account. */
export class RotationWatch extends Repeated {
  constructor(private readonly deps: RotationWatchDeps) {
    super({
      intervalMs: ROTATION_WATCH_INTERVAL_MS,
      failed: (error) => deps.log.warn({ err: error }, 'could not look for due rotations; retrying at the next interval'),
    });
  }

  /** Writes the events of all due rotations, including those that become due meanwhile. Skips disabled accounts until they are enabled. */
  async once(): Promise<void> {
    for (;;) {
      const now = await this.deps.database.now();
      const due = await this.deps.database.reader.find(ServiceAccount, {
        select: { id: true },
        where: { rotationDueToldAt: IsNull(), rotationDueAt: LessThanOrEqual(now), enabled: true },
        order: { rotationDueAt: 'ASC' },
        take: BATCH_SIZE,
      });
      for (const { id } of due) await this.recordDue(id);
      if (due.length < BATCH_SIZE) return;
    }
  }

  private recordDue(id: string): Promise<void> {
    return this.deps.database.transaction(async (tx) => {
      const account = await tx.findOne(ServiceAccount, { where: { id }, ...forUpdate(tx) });
      const at = await this.deps.database.now(tx);
      // Another node may have been faster, or the account may have been rotated or disabled meanwhile.
      if (!account?.enabled || account.rotationDueToldAt || account.rotationDueAt > at) return;
      await tx.update(ServiceAccount, { id, rotationDueToldAt: IsNull() }, { rotationDueToldAt: at });
      const { name, rotationDueAt } = account;
      await recordEvent(tx, {
        ...systemAuthority('rotations'),
        action: 'service-account.rotation-due',
        subject: account,
        after: { name, rotationDueAt },
        at,
      });
    });
  }
}
