import { IdempotencyKey } from './access/idempotency-key.entity';
import { Setting } from './access/installation.entity';
import { Invitation } from './access/people/invitation.entity';
import { Membership } from './access/people/membership.entity';
import { Person } from './access/people/person.entity';
import { Role } from './access/roles/role.entity';
import { PasswordReset } from './access/sessions/password-reset.entity';
import { RecoveryCode } from './access/sessions/recovery-code.entity';
import { Session } from './access/sessions/session.entity';
import { Throttle } from './access/sessions/throttle.entity';
import { Action } from './actions/action.entity';
import { AuditEvent } from './audit/event.entity';
import { AuditChain, AuditSeal, UnsealedEvent } from './audit/seal.entities';
import { Claim, RefusalCount, SingleHold, TickHolds } from './gate/gate.entities';
import { ApiKey, KeySecret } from './keys/key.entity';
import { OAuthClient } from './oauth/client.entity';
import { Consent } from './oauth/consent.entity';
import { SigningKey } from './oauth/signing-key.entity';
import { OAuthToken } from './oauth/token.entity';
import { RequestLog } from './requests/request-log.entity';
import { Route } from './routes/route.entity';
import { ServiceAccount, ServiceAccountProject, ServiceAccountSecret } from './service-accounts/service-account.entity';
import { Project } from './tenancy/project.entity';
import { Workspace } from './tenancy/workspace.entity';
import { LedgerEntry, LedgerReference } from './wallet/ledger-entry.entity';
import { Budget, Wallet } from './wallet/wallet.entity';

/** The entities of all tables, for the process and for TypeORM's command line. */
export const entities = [
  Workspace,
  Role,
  Membership,
  Person,
  Invitation,
  Session,
  PasswordReset,
  RecoveryCode,
  Throttle,
  Project,
  ApiKey,
  KeySecret,
  ServiceAccount,
  ServiceAccountSecret,
  ServiceAccountProject,
  OAuthClient,
  Consent,
  OAuthToken,
  SigningKey,
  Wallet,
  Budget,
  LedgerEntry,
  LedgerReference,
  Action,
  SingleHold,
  Route,
  TickHolds,
  Claim,
  RefusalCount,
  RequestLog,
  AuditEvent,
  UnsealedEvent,
  AuditSeal,
  AuditChain,
  IdempotencyKey,
  Setting,
];
