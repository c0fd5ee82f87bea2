import formbody from '@fastify/formbody';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { InvitationService } from '../access/people/invitation.service';
import { whenceOf } from '../access/people/person.events';
import type { UserPrincipal } from '../access/principal';
import { heldIn, isFromHere, keepIn, type BrowserCookies, type TrustedOrigins } from '../access/sessions/cookie';
import type { PasswordService } from '../access/sessions/password.service';
import { TollgateError, type ErrorCode, type Issue } from '../errors';
import { FORM_LIMIT_BYTES, problemPage, textOf, type Problem } from './form';
import { PAGE_HEADERS } from './page';
import { acceptedPage, invitationPage } from './invitation.page';
import { passwordWasSetPage, resetPasswordPage } from './reset-password.page';

export interface PagesDeps {
  invitations: InvitationService;
  passwords: PasswordService;
  /** Throws for a compressed body, which no form has. */
  requirePlainBody(request: FastifyRequest): void;
  cookies: BrowserCookies;
  trustedOrigins: TrustedOrigins;
  /** Returns the person of a session token, or null if the session has ended or is unknown. */
  identifySession(token: string): Promise<UserPrincipal | null>;
  httpStatusOf(code: ErrorCode): number;
  /** Whether an error means that the database is unavailable for a while. */
  isOutage(error: unknown): boolean;
  log: { error(properties: object, message: string): void };
}

/**
 * Registers the pages that links in mails lead to. They are forms without scripts. Opening a page does not use its link up. Needs
 * @fastify/cookie.
 */
export async function registerPages(app: FastifyInstance, deps: PagesDeps): Promise<void> {
  const { invitations, passwords, cookies, trustedOrigins, httpStatusOf, log } = deps;
  app.removeAllContentTypeParsers();
  await app.register(formbody, { bodyLimit: FORM_LIMIT_BYTES });
  app.setErrorHandler((error, request, reply) => {
    const isDisconnected = error === request.raw.errored;
    const isOutage = !isDisconnected && deps.isOutage(error);
    const failure = isOutage ? new TollgateError('SERVICE_UNAVAILABLE', undefined, undefined, { cause: error }) : failureOf(error);
    if (failure.code === 'INTERNAL' || failure.cause) log.error({ err: error, requestId: request.requestId }, 'pages: request failed');
    return send(reply, problemPage(failure.message), httpStatusOf(failure.code));
  });
  app.addHook('onRequest', async (request) => deps.requirePlainBody(request));
  app.addHook('preHandler', async ({ method, headers }) => {
    if (method === 'POST' && !isFromHere(headers, trustedOrigins)) throw new TollgateError('FORBIDDEN', FOREIGN_FORM);
  });
  const signedInId = async (request: FastifyRequest): Promise<string | undefined> => {
    const token = heldIn(request, cookies).session;
    return token ? (await deps.identifySession(token))?.id : undefined;
  };

  app.get('/invitation', async (request, reply) => {
    const token = textOf(request.query, 'token');
    const invited = await invitations.describe(token);
    return send(reply, invitationPage(invited, { token, signedInId: await signedInId(request), name: '' }));
  });
  app.post('/invitation', async (request, reply) => {
    const visitor = { token: textOf(request.body, 'token'), signedInId: await signedInId(request), name: textOf(request.body, 'name') };
    const invited = await invitations.describe(visitor.token);
    const given = { ...visitor, password: textOf(request.body, 'password') };
    try {
      const { personId, session } = await invitations.accept(visitor.signedInId, given, whenceOf(request), heldIn(request, cookies));
      if (session) keepIn(reply, cookies, { session: session.token, device: session.device });
      return await send(reply, acceptedPage(invited, session !== null || personId === visitor.signedInId));
    } catch (error) {
      const { code, problem } = problemOf(error);
      return send(reply, invitationPage(invited, visitor, problem), httpStatusOf(code));
    }
  });

  app.get('/reset-password', async (request, reply) => {
    const token = textOf(request.query, 'token');
    await passwords.requireReset(token);
    return send(reply, resetPasswordPage(token));
  });
  app.post('/reset-password', async (request, reply) => {
    const token = textOf(request.body, 'token');
    await passwords.requireReset(token);
    try {
      const given = { token, newPassword: textOf(request.body, 'newPassword') };
      keepIn(reply, cookies, { device: await passwords.reset(given, whenceOf(request), heldIn(request, cookies).device) });
      return await send(reply, passwordWasSetPage());
    } catch (error) {
      const { code, problem } = problemOf(error);
      return send(reply, resetPasswordPage(token, problem), httpStatusOf(code));
    }
  });
}

const FOREIGN_FORM = 'This form came from a page of another site. Open the page again and send the form from there.';

/** Writes a page for a request that could not be routed. */
export function pageForm(message: string): { headers: Record<string, string>; body: string } {
  return { headers: PAGE_HEADERS, body: problemPage(message) };
}

const send = (reply: FastifyReply, text: string, status = 200): FastifyReply => reply.code(status).headers(PAGE_HEADERS).send(text);

/** Converts an error that the visitor can correct into a message for the form. Throws any other error. */
function problemOf(error: unknown): { code: ErrorCode; problem: Problem } {
  if (!(error instanceof TollgateError) || error.code === 'NOT_FOUND') throw error;
  const [issue] = (error.details.issues ?? []) as Issue[];
  const field = issue?.path.at(-1);
  if (!issue || typeof field !== 'string') return { code: error.code, problem: { message: error.message } };
  return { code: error.code, problem: { message: `${field === 'name' ? 'The name' : 'The password'} ${issue.message}.`, field } };
}

function failureOf(error: unknown): TollgateError {
  if (error instanceof TollgateError) return error;
  const { statusCode = 500 } = error as { statusCode?: number };
  if (statusCode >= 500) return new TollgateError('INTERNAL');
  return new TollgateError('INVALID_REQUEST', 'This form cannot be read. Open the page again.');
}
