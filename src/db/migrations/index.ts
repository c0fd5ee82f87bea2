import { AuditKeys1764870000000 as mysqlAuditKeys } from './mysql/1764870000000-audit-keys';
import { AuditTrail1764100000000 as mysqlAuditTrail } from './mysql/1764100000000-audit-trail';
import { Foundation1763700000000 as mysqlFoundation } from './mysql/1763700000000-foundation';
import { Lists1764300000000 as mysqlLists } from './mysql/1764300000000-lists';
import { Idempotency1764400000000 as mysqlIdempotency } from './mysql/1764400000000-idempotency';
import { KeyCreators1764860000000 as mysqlKeyCreators } from './mysql/1764860000000-key-creators';
import { OAuth1764600000000 as mysqlOAuth } from './mysql/1764600000000-oauth';
import { PassStatuses1764850000000 as mysqlPassStatuses } from './mysql/1764850000000-pass-statuses';
import { People1764200000000 as mysqlPeople } from './mysql/1764200000000-people';
import { Roles1764150000000 as mysqlRoles } from './mysql/1764150000000-roles';
import { Routes1764890000000 as mysqlRoutes } from './mysql/1764890000000-routes';
import { ServiceAccountTokens1764700000000 as mysqlServiceAccountTokens } from './mysql/1764700000000-service-account-tokens';
import { TickHolds1764000000000 as mysqlTickHolds } from './mysql/1764000000000-tick-holds';
import { ServiceAccounts1764500000000 as mysqlServiceAccounts } from './mysql/1764500000000-service-accounts';
import { UnitPrices1764880000000 as mysqlUnitPrices } from './mysql/1764880000000-unit-prices';
import { AuditKeys1764870000000 as sqliteAuditKeys } from './sqlite/1764870000000-audit-keys';
import { AuditTrail1764100000000 as sqliteAuditTrail } from './sqlite/1764100000000-audit-trail';
import { Foundation1763700000000 as sqliteFoundation } from './sqlite/1763700000000-foundation';
import { Lists1764300000000 as sqliteLists } from './sqlite/1764300000000-lists';
import { Idempotency1764400000000 as sqliteIdempotency } from './sqlite/1764400000000-idempotency';
import { KeyCreators1764860000000 as sqliteKeyCreators } from './sqlite/1764860000000-key-creators';
import { OAuth1764600000000 as sqliteOAuth } from './sqlite/1764600000000-oauth';
import { PassStatuses1764850000000 as sqlitePassStatuses } from './sqlite/1764850000000-pass-statuses';
import { People1764200000000 as sqlitePeople } from './sqlite/1764200000000-people';
import { Roles1764150000000 as sqliteRoles } from './sqlite/1764150000000-roles';
import { ServiceAccounts1764500000000 as sqliteServiceAccounts } from './sqlite/1764500000000-service-accounts';
import { Routes1764890000000 as sqliteRoutes } from './sqlite/1764890000000-routes';
import { ServiceAccountTokens1764700000000 as sqliteServiceAccountTokens } from './sqlite/1764700000000-service-account-tokens';
import { TickHolds1764000000000 as sqliteTickHolds } from './sqlite/1764000000000-tick-holds';
import { UnitPrices1764880000000 as sqliteUnitPrices } from './sqlite/1764880000000-unit-prices';

/**
 * The migrations in the order in which they are applied. The SQL of a released migration is never changed; a later migration corrects it.
 */
export const migrations = {
  mysql: [
    mysqlFoundation, mysqlTickHolds, mysqlAuditTrail, mysqlRoles, mysqlPeople, mysqlLists,
    mysqlIdempotency, mysqlServiceAccounts, mysqlOAuth, mysqlServiceAccountTokens, mysqlPassStatuses, mysqlKeyCreators,
    mysqlAuditKeys, mysqlUnitPrices, mysqlRoutes,
  ],
  sqlite: [
    sqliteFoundation, sqliteTickHolds, sqliteAuditTrail, sqliteRoles, sqlitePeople, sqliteLists,
    sqliteIdempotency, sqliteServiceAccounts, sqliteOAuth, sqliteServiceAccountTokens, sqlitePassStatuses, sqliteKeyCreators,
    sqliteAuditKeys, sqliteUnitPrices, sqliteRoutes,
  ],
};
