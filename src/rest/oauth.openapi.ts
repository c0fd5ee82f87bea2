import { z } from 'zod';
import { headers } from './openapi/headers';
import { json, ref, schemasOf, type Operation, type Part, type Responses } from './openapi/part';
import { AS_CLIENT, PUBLIC } from './openapi/security';

// The endpoints of OAuth for programs. pages/oauth.server.ts registers them. /oauth/authorize is a page for browsers, so it is only in the
// security scheme.

const text = z.string();

const oauthError = z
  .object({
    error: text.meta({ description: 'A code of OAuth, such as `invalid_grant`. Accept any text.' }),
    error_description: text.meta({ description: 'For people.' }).optional(),
  })
  .meta({ id: 'OAuthError' });

/** Client authentication in the form, instead of HTTP Basic. */
const inForm = {
  client_id: text.meta({ description: 'Not needed with HTTP Basic.' }).optional(),
  client_secret: text.meta({ description: 'Not needed with HTTP Basic, or if the application has no secret.' }).optional(),
};

const tokenRequest = z
  .object({
    grant_type: z.enum(['authorization_code', 'refresh_token', 'client_credentials']).meta({
      description: 'Service accounts use `client_credentials`. Applications use the other two.',
    }),
    code: text.meta({ description: 'For `authorization_code`: the code of the redirect.' }).optional(),
    redirect_uri: text.meta({ description: 'For `authorization_code`: the same as in the authorization request.' }).optional(),
    code_verifier: text.meta({ description: 'For `authorization_code`: the verifier of PKCE.' }).optional(),
    refresh_token: text.meta({ description: 'For `refresh_token`. It works once.' }).optional(),
    scope: text.meta({ description: 'Permissions, separated by blanks. If absent: all that can be granted.' }).optional(),
    ...inForm,
  })
  .meta({ id: 'TokenRequest' });

const tokens = z
  .object({
    access_token: text,
    token_type: text.meta({ description: '`Bearer`.' }),
    expires_in: z.int().meta({ description: 'Lifetime in seconds.' }),
    scope: text.meta({ description: 'The granted permissions, separated by blanks.' }).optional(),
    id_token: text.meta({ description: 'With the scope `openid`: who the person is, as a signed JWT.' }).optional(),
    refresh_token: text.meta({ description: 'Only for applications. Use it once to get the next tokens.' }).optional(),
  })
  .meta({ id: 'Tokens' });

const tokenForm = z
  .object({ token: text, token_type_hint: z.enum(['access_token', 'refresh_token']).optional(), ...inForm })
  .meta({ id: 'TokenForm' });

const introspection = z
  .object({
    active: z.boolean().meta({ description: 'Whether the token works now. If false, no other property is present.' }),
    scope: text.optional(),
    client_id: text.optional(),
    sub: text.meta({ description: 'The person who allowed the application to act.' }).optional(),
    token_type: text.optional(),
    iss: text.optional(),
    iat: z.int().meta({ description: 'Seconds since 1970 at which it was issued.' }).optional(),
    exp: z.int().meta({ description: 'Seconds since 1970 at which it ends.' }).optional(),
  })
  .meta({ id: 'TokenIntrospection' });

const keySet = z
  .object({ keys: z.array(z.looseObject({ kty: text, kid: text.optional() })) })
  .meta({ id: 'JsonWebKeySet', description: 'Public keys, as RFC 7517 describes them.' });

const metadata = z
  .looseObject({ issuer: text, authorization_endpoint: text, token_endpoint: text, jwks_uri: text, scopes_supported: z.array(text) })
  .meta({ id: 'OAuthMetadata', description: 'The endpoints and features of this server, as RFC 8414 and OpenID Connect describe them.' });

const refusal = (description: string, error: string, ...names: Parameters<typeof headers>) => ({
  description,
  headers: headers(...names),
  content: json(ref('OAuthError'), { example: { error } }),
});

/** Errors of every endpoint. */
const FAILURES: Responses = {
  400: refusal('The request is not valid, or the grant was refused. `error` says why.', 'invalid_grant'),
  429: refusal('There were too many requests from this address.', 'temporarily_unavailable', 'Retry-After'),
  500: refusal('An internal error occurred.', 'server_error'),
  503: refusal('The database cannot be reached, or a limit is reached.', 'temporarily_unavailable'),
};
const CLIENT_FAILURES: Responses = {
  401: refusal('The client is unknown, or its secret is wrong.', 'invalid_client', 'WWW-Authenticate'),
  413: refusal('The form is too large.', 'invalid_request'),
};

type Described = Pick<Operation, 'operationId' | 'summary' | 'description'>;

const fromClient = (described: Described, form: object, example: object, success: Responses[number]): Operation => ({
  ...described,
  tags: ['OAuth'],
  security: AS_CLIENT,
  requestBody: { required: true, content: { 'application/x-www-form-urlencoded': { schema: form, example } } },
  responses: { 200: success, ...FAILURES, ...CLIENT_FAILURES },
});

const published = (described: Described, schema: string): Operation => ({
  ...described,
  tags: ['OAuth'],
  security: PUBLIC,
  responses: { 200: { description: described.summary, content: json(ref(schema)) }, ...FAILURES },
});

export const oauth: Part = {
  paths: {
    '/oauth/token': {
      post: fromClient(
        {
          operationId: 'requestToken',
          summary: 'Get an access token',
          description:
            'Exchanges a code or a refresh token of an application, or the secret of a service account, for an access token. ' +
            'Send the access token as `Authorization: Bearer`.',
        },
        ref('TokenRequest'),
        { grant_type: 'client_credentials', scope: 'demo.echo' },
        {
          description: 'The tokens.',
          content: json(ref('Tokens'), {
            example: { access_token: 'tollgate_svctoken_...', token_type: 'Bearer', expires_in: 3600, scope: 'demo.echo' },
          }),
        },
      ),
    },
    '/oauth/revoke': {
      post: fromClient(
        {
          operationId: 'revokeToken',
          summary: 'End a token',
          description: 'Ends a token of the client (RFC 7009). For an application it also ends all other tokens of the same consent.',
        },
        ref('TokenForm'),
        { token: 'tollgate_svctoken_...' },
        { description: 'The token does not work, whether it worked before or not.' },
      ),
    },
    '/oauth/introspect': {
      post: fromClient(
        {
          operationId: 'introspectToken',
          summary: 'Ask what a token may do',
          description: 'Tells a client whether its own token works, and its permissions (RFC 7662).',
        },
        ref('TokenForm'),
        { token: 'tollgate_svctoken_...' },
        { description: 'The state of the token.', content: json(ref('TokenIntrospection'), { example: { active: false } }) },
      ),
    },
    '/oauth/jwks': {
      get: published(
        {
          operationId: 'getSigningKeys',
          summary: 'Public keys that sign ID tokens',
          description: 'Verify the signature of an `id_token` with the key that its header names.',
        },
        'JsonWebKeySet',
      ),
    },
    '/.well-known/openid-configuration': {
      get: published(
        {
          operationId: 'getOpenIdConfiguration',
          summary: 'Configuration of OpenID Connect',
          description: 'Client libraries read this document to find the endpoints and the scopes.',
        },
        'OAuthMetadata',
      ),
    },
    '/.well-known/oauth-authorization-server': {
      get: published(
        {
          operationId: 'getOAuthMetadata',
          summary: 'Configuration of OAuth 2',
          description: 'The same document as `/.well-known/openid-configuration`, at the address of RFC 8414.',
        },
        'OAuthMetadata',
      ),
    },
  },
  schemas: schemasOf(oauthError, tokenRequest, tokens, tokenForm, introspection, keySet, metadata),
};
