import { ADMINISTRATIVE_PERMISSIONS, type AdministrativePermission } from '../../access/permissions';
import { IDENTITY_WORDS } from '../../oauth/scopes';

// How callers authenticate.

const permissions = Object.fromEntries(ADMINISTRATIVE_PERMISSIONS.map(({ name, description }) => [name, description]));

const ACCEPTED =
  'Accepted are the secret of an API key, the secret of a service account, and an OAuth access token. ' +
  'Verification and exports also accept the root key of the operator.';

/** The components that security requirements name. */
export const SECURITY_SCHEMES = {
  apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key', description: `A secret in its own header. ${ACCEPTED}` },
  bearer: { type: 'http', scheme: 'bearer', description: `A secret as a bearer token. ${ACCEPTED}` },
  oauth2: {
    type: 'oauth2',
    description:
      'An access token, sent as a bearer token. The permissions of actions are scopes too, such as `demo.echo`. ' +
      '`/.well-known/openid-configuration` lists all scopes of this server.',
    flows: {
      authorizationCode: {
        authorizationUrl: '/oauth/authorize',
        tokenUrl: '/oauth/token',
        refreshUrl: '/oauth/token',
        scopes: { ...IDENTITY_WORDS, ...permissions },
      },
      clientCredentials: { tokenUrl: '/oauth/token', scopes: permissions },
    },
  },
  client: {
    type: 'http',
    scheme: 'basic',
    description:
      'The `client_id` and the secret of an OAuth application, or the id and the secret of a service account. ' +
      'The form may have them instead, as `client_id` and `client_secret`. An application without a secret sends only its `client_id`.',
  },
};

/** A secret or a token. An administrative permission is also the scope of the token. */
export const withSecret = (...scopes: AdministrativePermission[]): Record<string, string[]>[] => [
  { apiKey: [] },
  { bearer: [] },
  { oauth2: scopes },
];

/** Client authentication, with HTTP Basic or in the form. */
export const AS_CLIENT: Record<string, string[]>[] = [{ client: [] }, {}];

/** No credential. */
export const PUBLIC: Record<string, string[]>[] = [];
