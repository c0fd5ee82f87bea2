import { IsNull, MoreThan, type EntityManager } from 'typeorm';
import { Invitation } from './access/people/invitation.entity';
import { MemberService } from './access/people/member.service';
import { RoleService } from './access/roles/role.service';
import { Action } from './actions/action.entity';
import { ActionService } from './actions/action.service';
import type { Database } from './db/database';
import { ApiKey } from './keys/key.entity';
import { KeyService } from './keys/key.service';
import { endConsents } from './oauth/consent.service';
import { RequestLog } from './requests/request-log.entity';
import { RouteService } from './routes/route.service';
import { ServiceAccount } from './service-accounts/service-account.entity';
import { ServiceAccountService } from './service-accounts/service-account.service';
import { ProjectService } from './tenancy/project.service';
import { WorkspaceService } from './tenancy/workspace.service';
import { openBudget, openWallet } from './wallet/ledger';
import { WalletService } from './wallet/wallet.service';

// Creates the services of tenants, keys, service accounts, roles, members, wallets, actions and routes. A service knows only one feature.
// If it needs another feature, it receives a function for this.

export interface Services {
  workspaces: WorkspaceService;
  projects: ProjectService;
  keys: KeyService;
  serviceAccounts: ServiceAccountService;
  roles: RoleService;
  members: MemberService;
  wallets: WalletService;
  actions: ActionService;
  routes: RouteService;
}

/** `routesChanged` is called after each change of the routes, by a process that matches requests. */
export function createServices(
  database: Database,
  digest: (text: string) => string,
  routesChanged: () => Promise<void> = () => Promise.resolve(),
): Services {
  const actions = new ActionService(database);
  const knownPermissions = async (tx: EntityManager) => (await actions.permissions(tx)).map(({ name }) => name);
  const keys = new KeyService({ database, digest, knownPermissions });
  const actionOf = (tx: EntityManager, id: string) => tx.findOne(Action, { where: { id }, select: { id: true, unitPrices: true } });
  return {
    actions,
    routes: new RouteService({ database, actionOf, changed: routesChanged }),
    workspaces: new WorkspaceService({ database, opened: (tx, workspace) => openWallet(tx, workspace.id) }),
    projects: new ProjectService({ database, opened: (tx, project) => openBudget(tx, project.id) }),
    keys,
    serviceAccounts: new ServiceAccountService({ database, digest, knownPermissions }),
    roles: new RoleService({ database, holderOf: (tx, roleId) => roleHolder(database, tx, roleId) }),
    members: new MemberService({ database, left: endConsents, revokeKeys: (...removal) => keys.revokeMinted(...removal) }),
    wallets: new WalletService({ database, findCall: (tx, id) => tx.findOneBy(RequestLog, { id }) }),
  };
}

/** Finds a key, a service account or an open invitation with a role. Returns words for an error message, or undefined if there is none. */
async function roleHolder(database: Database, tx: EntityManager, roleId: string): Promise<string | undefined> {
  if (await tx.existsBy(ApiKey, { roleId, revokedAt: IsNull() })) return 'a key';
  if (await tx.existsBy(ServiceAccount, { roleId })) return 'a service account';
  const isOpen = { acceptedAt: IsNull(), withdrawnAt: IsNull(), expiresAt: MoreThan(await database.now(tx)) };
  return (await tx.existsBy(Invitation, { roleId, ...isOpen })) ? 'an invitation' : undefined;
}
