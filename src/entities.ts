import { Setting } from './access/installation.entity';
import { Action } from './actions/action.entity';
import { AuditEvent } from './audit/event.entity';
import { Claim, TickHolds, RefusalCount } from './gate/gate.entities';
import { ApiKey, KeySecret } from './keys/key.entity';
import { RequestLog } from './requests/request-log.entity';
import { Project } from './tenancy/project.entity';
import { Workspace } from './tenancy/workspace.entity';
import { LedgerEntry, LedgerReference } from './wallet/ledger-entry.entity';
import { Budget, Wallet } from './wallet/wallet.entity';

/** Every table, for the process and for TypeORM's command line. */
export const entities = [
  Workspace,
  Project,
  ApiKey,
  KeySecret,
  Wallet,
  Budget,
  LedgerEntry,
  LedgerReference,
  Action,
  TickHolds,
  Claim,
  RefusalCount,
  RequestLog,
  AuditEvent,
  Setting,
];
