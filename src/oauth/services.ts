import type { Permission } from '../access/permissions';
import { Throttles } from '../access/sessions/throttle';
import type { Database } from '../db/database';
import type { Background } from '../lib/background';
import { Authorizations } from './authorization';
import { AccountTokens } from './account-tokens';
import { ClientService } from './client.service';
import { ConsentService, type ConsentServiceDeps } from './consent.service';
import { OAuthProvider, type OAuthProviderDeps } from './provider';
import { SigningKeys } from './signing-keys';

type Callbacks = Pick<OAuthProviderDeps, 'baseUrl' | 'errorPage' | 'log'> & Pick<ConsentServiceDeps, 'principalOfSession'>;

export interface OAuthDeps extends Callbacks {
  database: Database;
  pepper: string;
  digest(text: string): string;
  background: Background;
  /** Returns all permissions. */
  permissions(): Promise<Permission[]>;
}

export interface OAuthServices {
  clients: ClientService;
  consents: ConsentService;
  provider: OAuthProvider;
  authorizations: Authorizations;
  throttles: Throttles;
}

/** Creates all services of OAuth. */
export function createOAuthServices({ permissions, ...deps }: OAuthDeps): OAuthServices {
  const { database, pepper, digest } = deps;
  const throttles = new Throttles(database);
  const clients = new ClientService({ database, digest });
  const consents = new ConsentService({ database, digest, principalOfSession: deps.principalOfSession });
  const signingKeys = new SigningKeys({ database, pepper });
  const knownPermissions = async () => (await permissions()).map(({ name }) => name);
  const accountTokens = new AccountTokens({ database, digest, knownPermissions });
  const provider = new OAuthProvider({ ...deps, clients, consents, accountTokens, signingKeys, knownPermissions });
  const authorizations = new Authorizations({ database, oauth: provider, clients, consents, permissions });
  return { clients, consents, provider, throttles, authorizations };
}
