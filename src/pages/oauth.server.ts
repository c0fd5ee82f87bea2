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
import { FORM_LIMIT_BYTES, alert, textOf, type Problem } from './form';
import { HEADERS_LEADING_AWAY, PAGE_HEADERS, page } from './html';

export interface OAuthPagesDeps {
  oauth: OAuthServices;
  signIns: SignInService;
  sessions: SessionService;
  cookies: BrowserCookies;
  identifySession(token: string): Promise<UserPrincipal | null>;
  emailOf(personId: string): Promise<string>;
  /** Keeps memory for a body that is large for a caller who is not known. */
  admitBody(request: FastifyRequest, reply: FastifyReply): void;
  httpStatusOf(code: ErrorCode): number;
  isOutage(error: unknown): boolean;
  log: { error(properties: object, message: string): void };
}

/** Authorizations that may begin from one address at once, and how often one more after that: each is kept for a while. */
const AUTHORIZATIONS = 60;
const AUTHORIZATION_EVERY_MS = 1_000;
/** Requests of all kinds from one address at once, counted by each process for itself; and how often one more after that. */
const MAX_REQUESTS = 200;
const REQUEST_EVERY_MS = 20;

const AUTHORIZE = '/oauth/authorize';

/** What may be wrong with a form before it is read, by Fastify's codes. */
const FORM_PROBLEMS: Record<string, string> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'invalid_request: send the parameters as application/x-www-form-urlencoded.',
  FST_ERR_CTP_BODY_TOO_LARGE: `invalid_request: send at most ${FORM_LIMIT_BYTES} bytes.`,
};

/** What oidc-provider answers. It reads requests and writes answers itself, errors in the form that OAuth gives them. */
export function registerOAuthEndpoints(app: FastifyInstance, { oauth, admitBody, httpStatusOf, isOutage, log }: OAuthPagesDeps): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null)); // unread
  app.setErrorHandler((error, request, reply) => {
    if (error instanceof TollgateError && error.code === 'RATE_LIMITED') {
      void reply.code(429).header('retry-after', Math.ceil(Number(error.details.retryAfterMs) / 1000));
      if (request.url.startsWith(AUTHORIZE)) return reply.headers(PAGE_HEADERS).send(page('Too many requests', alert(error.message)));
      return reply.send({ error: 'temporarily_unavailable', error_description: error.message });
    }
    const { code: problem, statusCode = 400 } = error as FastifyError;
    const refused = FORM_PROBLEMS[problem];
    if (refused) return reply.code(statusCode).headers(PAGE_HEADERS).send(page('That did not work', alert(refused)));
    if (error instanceof TollgateError && error.kind !== 'SERVICE_UNAVAILABLE' && error.kind !== 'INTERNAL') {
      const isTooLarge = error.code === 'MISSING_API_KEY';
      const status = isTooLarge ? 413 : httpStatusOf(error.code);
      return reply.code(status).send({ error: 'invalid_request', error_description: isTooLarge ? 'the request is too large' : error.message });
    }
    if (!(error instanceof TollgateError) || error.cause) log.error({ err: error, requestId: request.requestId }, 'oauth: a request failed');
    const isUnavailable = isOutage(error) || (error instanceof TollgateError && error.code === 'SERVICE_UNAVAILABLE');
    const [status, code] = isUnavailable ? [503, 'temporarily_unavailable'] : [500, 'server_error'];
    return reply.code(status).send({ error: code, error_description: isUnavailable ? 'try again later' : 'something went wrong on this side' });
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
    if (request.raw.socket.destroyed) return; // its client has disconnected
    const headers = { ...(reply.getHeaders() as Record<string, string>), 'x-request-id': request.requestId };
    reply.raw.setHeaders(new Map(Object.entries(headers)));
    await oauth.provider.answer(provider, request.raw, reply.raw, whence);
  };
  for (const [method, url] of OAUTH_ROUTES) app.route({ method, url, handler: answer });
  void app.register(async (forms) => registerAuthorizeForm(forms, answer));
}

/**
 * `POST /oauth/authorize`, which OpenID Connect wants beside GET. oidc-provider would take it only with cookies that other sites send, so
 * it is handed on as a GET with the same parameters: every check of a GET holds.
 */
function registerAuthorizeForm(app: FastifyInstance, answer: (request: FastifyRequest, reply: FastifyReply) => Promise<void>): void {
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

/** The pages on which a person signs in and agrees: forms without scripts. For where `registerPages` has prepared them. */
export function registerConsentPages(app: FastifyInstance, deps: OAuthPagesDeps): void {
  const { oauth, signIns, sessions, cookies, httpStatusOf } = deps;
  const { authorizations } = oauth;
  const rawOf = (request: FastifyRequest, reply: FastifyReply): Raw => ({ request: request.raw, response: reply.raw, whence: whenceOf(request) });
  const actionOf = ({ uid }: Asked): string => `${CONSENT_PATH}/${uid}`;
  const askedOf = (request: FastifyRequest, reply: FastifyReply): Promise<Asked> => authorizations.asked((request.params as { uid: string }).uid, rawOf(request, reply));
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
    return reply.headers(HEADERS_LEADING_AWAY).send(consentPage(asked, await authorizations.choice(asked, person), actionOf(asked), await deps.emailOf(person.id)));
  });

  app.post(`${CONSENT_PATH}/:uid/sign-in`, async (request, reply) => {
    const asked = await askedOf(request, reply);
    const given = { email: textOf(request.body, 'email'), password: textOf(request.body, 'password'), code: textOf(request.body, 'code') };
    const again = (problem: Problem, code: ErrorCode) => sendSignIn(reply, asked, given.email, problem, httpStatusOf(code));
    try {
      const session = await signIns.signIn(given, whenceOf(request), heldIn(request, cookies));
      if (!session) return await again({ message: 'Your account has a second factor: give its code as well.', field: 'code' }, 'SIGN_IN_FAILED');
      keepIn(reply, cookies, { session: session.token, device: session.device });
      return await reply.redirect(actionOf(asked), 303);
    } catch (error) {
      if (error instanceof TollgateError && (error.code === 'SIGN_IN_FAILED' || error.code === 'RATE_LIMITED')) return again({ message: error.message }, error.code);
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

/** What a browser is shown where it cannot be sent back to the application. */
export const oauthErrorPage = (message: string): { headers: Record<string, string>; body: string } => ({ headers: PAGE_HEADERS, body: page('That did not work', alert(message)) });

/** How the protocol says what is wrong with a request that no route saw. */
export const oauthForm = (message: string): { headers: Record<string, string>; body: string } => ({
  headers: { 'content-type': 'application/json; charset=utf-8' },
  body: JSON.stringify({ error: 'invalid_request', error_description: message }),
});
