import { IsNull, LessThanOrEqual } from 'typeorm';
import { systemAuthority } from '../access/authority';
import { recordEvent } from '../audit/record-event';
import { forUpdate, type Database } from '../db/database';
import type { Log } from '../lib/log';
import { Repeated } from '../lib/repeated';
import { ServiceAccount } from './service-account.entity';

/** How often a process looks for rotations that have become due. Any process may; they meet under the accounts' locks. */
export const ROTATION_WATCH_INTERVAL_MS = 60_000;
const TOLD_AT_A_TIME = 100;

export interface RotationWatchDeps {
  database: Database;
  log: Log;
}

/** Makes an event of each rotation that becomes due: one over all nodes, however long it stays due. It stops no account. */
export class RotationWatch extends Repeated {
  constructor(private readonly deps: RotationWatchDeps) {
    super({ intervalMs: ROTATION_WATCH_INTERVAL_MS, failed: (error) => deps.log.warn({ err: error }, 'looking for rotations that are due failed') });
  }

  /** Tells of all that are due, those that become so meanwhile included. A disabled account waits until it works again. */
  async once(): Promise<void> {
    for (;;) {
      const now = await this.deps.database.now();
      const due = await this.deps.database.reader.find(ServiceAccount, {
        select: { id: true },
        where: { rotationDueToldAt: IsNull(), rotationDueAt: LessThanOrEqual(now), enabled: true },
        order: { rotationDueAt: 'ASC' },
        take: TOLD_AT_A_TIME,
      });
      for (const { id } of due) await this.tell(id);
      if (due.length < TOLD_AT_A_TIME) return;
    }
  }

  private tell(id: string): Promise<void> {
    return this.deps.database.transaction(async (tx) => {
      const account = await tx.findOne(ServiceAccount, { where: { id }, ...forUpdate(tx) });
      const at = await this.deps.database.now(tx);
      if (!account?.enabled || account.rotationDueToldAt || account.rotationDueAt > at) return; // another node was faster, or it was rotated
      await tx.update(ServiceAccount, { id, rotationDueToldAt: IsNull() }, { rotationDueToldAt: at });
      const { name, rotationDueAt } = account;
      await recordEvent(tx, { ...systemAuthority('rotations'), action: 'service-account.rotation-due', subject: account, after: { name, rotationDueAt }, at });
    });
  }
}
