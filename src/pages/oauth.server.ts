import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { actorOf, whenceOf } from '../access/people/person.events';
import type { UserPrincipal } from '../access/principal';
import { heldIn, keepIn, type BrowserCookies } from '../access/sessions/cookie';
import type { SessionService } from '../access/sessions/session.service';
import type { SignInService } from '../access/sessions/sign-in.service';
import { tooMany, triesFrom } from '../access/sessions/throttle';
import { TollgateError, type ErrorCode } from '../errors';
import type { Asked, Raw } from '../oauth/authorization';
import { CONSENT_PATH, OAUTH_ROUTES } from '../oauth/provider';
import type { OAuthServices } from '../oauth/services';
import { consentPage, signInPage } from './consent.page';
import { customerAt } from '../lib/cidr';
import { MemoryThrottles } from '../lib/memory-throttles';
import { FORM_LIMIT_BYTES, alert, problemPage, textOf, type Problem } from './form';
import { HEADERS_LEADING_AWAY, PAGE_HEADERS, page } from './page';

export interface OAuthPagesDeps {
  oauth: OAuthServices;
  signIns: SignInService;
  sessions: SessionService;
  cookies: BrowserCookies;
  identifySession(token: string): Promise<UserPrincipal | null>;
  emailOf(personId: string): Promise<string>;
  /** Reserves memory for a large body of a caller without a credential. Throws if there is none. */
  admitBody(request: FastifyRequest, reply: FastifyReply): void;
  httpStatusOf(code: ErrorCode): number;
  isOutage(error: unknown): boolean;
  log: { error(properties: object, message: string): void };
}

/** Rate limit for new authorizations of one address: a burst, then one more in each interval. Each authorization is stored for a while. */
const AUTHORIZATIONS = 60;
const AUTHORIZATION_EVERY_MS = 1_000;
/** Rate limit for all requests of one address, separately in each process: a burst, then one more in each interval. */
const MAX_REQUESTS = 200;
const REQUEST_EVERY_MS = 20;

const AUTHORIZE = '/oauth/authorize';

/** Messages for forms that cannot be read, by Fastify's error codes. */
const FORM_PROBLEMS: Record<string, string> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'invalid_request: send the parameters as application/x-www-form-urlencoded.',
  FST_ERR_CTP_BODY_TOO_LARGE: `invalid_request: send at most ${FORM_LIMIT_BYTES} bytes.`,
};

/** Registers the endpoints that oidc-provider answers. It reads requests and writes answers itself, with errors in the form of OAuth. */
export function registerOAuthEndpoints(app: FastifyInstance, { oauth, admitBody, httpStatusOf, isOutage, log }: OAuthPagesDeps): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null)); // leaves the body to oidc-provider
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof TollgateError && error.code === 'RATE_LIMITED') {
      void reply.code(429).header('retry-after', Math.ceil(Number(error.details.retryAfterMs) / 1000));
      if (request.url.startsWith(AUTHORIZE)) return reply.headers(PAGE_HEADERS).send(page('Too many requests', alert(error.message)));
      return reply.send({ error: 'temporarily_unavailable', error_description: error.message });
    }
    const { code: problem, statusCode = 400 } = error as FastifyError;
    const formProblem = FORM_PROBLEMS[problem];
    if (formProblem) return reply.code(statusCode).headers(PAGE_HEADERS).send(problemPage(formProblem));
    if (error instanceof TollgateError && error.kind !== 'SERVICE_UNAVAILABLE' && error.kind !== 'INTERNAL') {
      const isTooLarge = error.code === 'MISSING_API_KEY'; // the code for a large body without a credential
      const status = isTooLarge ? 413 : httpStatusOf(error.code);
      return sendError(reply, status, 'invalid_request', isTooLarge ? 'the request is too large' : error.message);
    }
    const { requestId } = request;
    if (!(error instanceof TollgateError) || error.cause) log.error({ err: error, requestId }, 'oauth: a request failed');
    const isUnavailable = isOutage(error) || (error instanceof TollgateError && error.code === 'SERVICE_UNAVAILABLE');
    if (isUnavailable) return sendError(reply, 503, 'temporarily_unavailable', 'the service is unavailable, try again later');
    return sendError(reply, 500, 'server_error', 'the server failed');
  });
  const requests = new MemoryThrottles({ burst: MAX_REQUESTS, intervalMs: REQUEST_EVERY_MS });
  const answer = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const whence = whenceOf(request);
    const waitMs = requests.take(customerAt(whence.ip), 1);
    if (waitMs > 0) throw tooMany('requests', waitMs);
    if (request.routeOptions.url === AUTHORIZE) {
      const name = `authorize ${triesFrom(whence.ip).name}`;
      await oauth.throttles.take({ name, burst: AUTHORIZATIONS, intervalMs: AUTHORIZATION_EVERY_MS });
    }
    admitBody(request, reply);
    const provider = await oauth.provider.current();
    reply.hijack();
    if (request.raw.socket.destroyed) return; // the client has disconnected
    const headers = { ...(reply.getHeaders() as Record<string, string>), 'x-request-id': request.requestId };
    reply.raw.setHeaders(new Map(Object.entries(headers)));
    await oauth.provider.answer(provider, request.raw, reply.raw, whence);
  };
  for (const [method, url] of OAUTH_ROUTES) app.route({ method, url, handler: answer });
  void app.register(async (forms) => registerAuthorizeForm(forms, answer));
}

/** Sends an error in the form of OAuth (RFC 6749, 5.2). */
function sendError(reply: FastifyReply, status: number, error: string, description: string): FastifyReply {
  return reply.code(status).send({ error, error_description: description });
}

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<void>;

/**
 * Registers `POST /oauth/authorize`, which OpenID Connect requires in addition to GET. Passes it to oidc-provider as a GET with the same
 * parameters, so that all checks of a GET apply. For a POST oidc-provider would need cookies with `SameSite=None`.
 */
function registerAuthorizeForm(app: FastifyInstance, answer: Handler): void {
  app.removeAllContentTypeParsers();
  const options = { parseAs: 'string', bodyLimit: FORM_LIMIT_BYTES } as const;
  app.addContentTypeParser('application/x-www-form-urlencoded', options, (_request, body, done) => done(null, body));
  app.post(AUTHORIZE, async (request, reply) => {
    const parameters = new URLSearchParams(typeof request.body === 'string' ? request.body : '');
    request.raw.method = 'GET';
    request.raw.url = `${AUTHORIZE}?${parameters.toString()}`;
    return answer(request, reply);
  });
}

const rawOf = (request: FastifyRequest, reply: FastifyReply): Raw => ({
  request: request.raw,
  response: reply.raw,
  whence: whenceOf(request),
});

/**
 * Registers the pages on which a person signs in and agrees. They are forms without scripts. Call it on an instance that `registerPages`
 * has prepared.
 */
export function registerConsentPages(app: FastifyInstance, deps: OAuthPagesDeps): void {
  const { oauth, signIns, sessions, cookies, httpStatusOf } = deps;
  const { authorizations } = oauth;
  const actionOf = ({ uid }: Asked): string => `${CONSENT_PATH}/${uid}`;
  const askedOf = (request: FastifyRequest, reply: FastifyReply): Promise<Asked> =>
    authorizations.asked((request.params as { uid: string }).uid, rawOf(request, reply));
  const sendSignIn = (reply: FastifyReply, asked: Asked, email: string, problem?: Problem, status = 200) =>
    reply.code(status).headers(PAGE_HEADERS).send(signInPage(asked, actionOf(asked), email, problem));

  const personOf = async (request: FastifyRequest, asked: Asked): Promise<UserPrincipal | null> => {
    const token = heldIn(request, cookies).session;
    const person = token === undefined ? null : await deps.identifySession(token);
    return person && (await authorizations.isRecent(asked, person)) ? person : null;
  };

  app.get(`${CONSENT_PATH}/:uid`, async (request, reply) => {
    const asked = await askedOf(request, reply);
    const person = await personOf(request, asked);
    if (!person) return sendSignIn(reply, asked, asked.loginHint);
    const choice = await authorizations.choice(asked, person);
    return reply.headers(HEADERS_LEADING_AWAY).send(consentPage(asked, choice, actionOf(asked), await deps.emailOf(person.id)));
  });

  app.post(`${CONSENT_PATH}/:uid/sign-in`, async (request, reply) => {
    const asked = await askedOf(request, reply);
    const { body } = request;
    const given = { email: textOf(body, 'email'), password: textOf(body, 'password'), code: textOf(body, 'code') };
    const again = (problem: Problem, code: ErrorCode) => sendSignIn(reply, asked, given.email, problem, httpStatusOf(code));
    try {
      const session = await signIns.signIn(given, whenceOf(request), heldIn(request, cookies));
      if (!session) return await again({ message: CODE_MISSING, field: 'code' }, 'SIGN_IN_FAILED');
      keepIn(reply, cookies, { session: session.token, device: session.device });
      return await reply.redirect(actionOf(asked), 303);
    } catch (error) {
      const canTryAgain = error instanceof TollgateError && (error.code === 'SIGN_IN_FAILED' || error.code === 'RATE_LIMITED');
      if (canTryAgain) return again({ message: error.message }, error.code);
      throw error;
    }
  });

  app.post(`${CONSENT_PATH}/:uid/sign-out`, async (request, reply) => {
    const asked = await askedOf(request, reply);
    const token = heldIn(request, cookies).session;
    const person = token === undefined ? null : await deps.identifySession(token);
    if (person) await sessions.end({ actor: actorOf(person.id), ...whenceOf(request) }, person.sessionId);
    keepIn(reply, cookies, { session: null });
    return reply.redirect(actionOf(asked), 303);
  });

  app.post(`${CONSENT_PATH}/:uid`, async (request, reply) => {
    const asked = await askedOf(request, reply);
    const raw = rawOf(request, reply);
    if (textOf(request.body, 'decision') !== 'allow') return reply.redirect(await authorizations.refuse(raw), 303);
    const person = await personOf(request, asked);
    if (!person) return reply.redirect(actionOf(asked), 303);
    return reply.redirect(await authorizations.allow(asked, person, textOf(request.body, 'projectId'), raw), 303);
  });
}

const CODE_MISSING = 'Your account has a second factor. Enter your password again and the authentication code.';

/** Writes the page for an error if the browser cannot be redirected to the application. */
export function oauthErrorPage(message: string): { headers: Record<string, string>; body: string } {
  return { headers: PAGE_HEADERS, body: problemPage(message) };
}

/** Writes an error in the form of OAuth for a request that could not be routed. */
export const oauthForm = (message: string): { headers: Record<string, string>; body: string } => ({
  headers: { 'content-type': 'application/json; charset=utf-8' },
  body: JSON.stringify({ error: 'invalid_request', error_description: message }),
});
