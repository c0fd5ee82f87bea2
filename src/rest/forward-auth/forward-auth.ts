import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { userAgentOf } from '../../access/people/person.events';
import type { Principal, PrincipalTokens } from '../../access/principal-tokens';
import { ERRORS, TollgateError, invalid } from '../../errors';
import type { Gate } from '../../gate/gate';
import type { RateReport, Verified } from '../../gate/items';
import type { KeptBytes } from '../../gate/load/kept-bytes';
import type { Header } from '../../forwarding/headers';
import { idempotencyKeyOf } from '../../lib/idempotency-key';
import type { Log } from '../../lib/log';
import { hostOf } from '../../routes/paths';
import type { RouteFollower, RoutedRequest } from '../../routes/route-follower';
import { upstreamTarget } from '../../routes/upstream-target';
import { COMMON_HEADERS, rateHeaders, writeError, type ErrorAnswer } from '../answer';
import type { ClientAddresses } from '../client-address';
import { readCaller, type Caller } from '../forward/caller';
import { MAX_MATCHES, matchAgain, matchOf, passesAsPreflight, type Asked } from '../forward/matching';
import { identityHeaders } from '../forward/upstream-headers';
import { newRequestId, requestIdOfAsker } from '../request-id';
import { httpStatusOf } from '../status';
import { fail, only, originalOf, type Question } from './original';

/** The proxy's own id of a request. Two questions with the same id about the same request are one call. */
const ATTEMPT_HEADER = 'Tollgate-Attempt';

export interface ForwardAuthDeps {
  gate: Gate;
  follower: RouteFollower;
  tokens: PrincipalTokens;
  /** The trusted proxies and loopback: only they may ask. */
  proxies: ClientAddresses;
  log: Log;
}

/** What is kept about a call that may pass, so that a repeated question gets the same answer. */
interface Pass extends Pick<Principal, 'credentialId' | 'workspaceId' | 'projectId' | 'environment'> {
  holdId: string;
}

/** One question of a proxy: may this request go on to its API? A request that may is billed, or its credits are held. */
export class ForwardAuth {
  private requestId = newRequestId();
  private readonly arrivedAt = performance.now();

  constructor(
    private readonly deps: ForwardAuthDeps,
    private readonly question: Question,
    private readonly incoming: IncomingMessage,
    private readonly outgoing: ServerResponse,
  ) {}

  /** Answers the question. Never rejects. Does not read the body: no proxy needs to send one. */
  async answer(): Promise<void> {
    const kept = this.deps.gate.keptBytes();
    kept.use();
    try {
      await this.judge(kept);
    } catch (error) {
      const failure = error instanceof TollgateError ? error : new TollgateError('INTERNAL', undefined, {}, { cause: error });
      if (failure.cause) this.deps.log.error({ err: failure.cause, requestId: this.requestId }, 'a question of a proxy failed');
      this.refuse({ code: failure.code, message: failure.message, details: failure.details });
    } finally {
      kept.release();
    }
  }

  /** Answers that the request may not go on. nginx knows only 401 and 403 as refusals, so it gets the status in a header. */
  refuse(error: ErrorAnswer): void {
    const { outgoing } = this;
    if (this.question.dialect !== 'nginx') return writeError(outgoing, this.requestId, error);
    outgoing.setHeader('Tollgate-Status', httpStatusOf(error.code));
    outgoing.setHeader('Tollgate-Code', error.code);
    writeError(outgoing, this.requestId, error, ERRORS[error.code].kind === 'UNAUTHORIZED' ? 401 : 403);
  }

  private async judge(kept: KeptBytes): Promise<void> {
    const { incoming, deps } = this;
    if (!deps.proxies.isTrusted(incoming.socket.remoteAddress ?? '')) throw new TollgateError('PROXY_NOT_TRUSTED');
    const asked = originalOf(this.question, incoming);
    const match = matchOf(deps.follower, asked);
    if (match.kind === 'noRoute') throw new TollgateError('NOT_FOUND');
    if (match.kind === 'badPath') throw invalid({ path: ['path'], message: match.reason });
    if (match.kind === 'methodNotAllowed') {
      this.outgoing.setHeader('allow', match.allow.join(', '));
      throw new TollgateError('METHOD_NOT_ALLOWED');
    }
    if (!passesAsPreflight(asked, match.route)) return this.admit(match, asked, kept);
    this.allow([...identityHeaders({ ...NOBODY, requestId: this.requestId }, ''), holdHeader('')]);
  }

  private async admit(routed: RoutedRequest, asked: Asked, kept: KeptBytes): Promise<void> {
    const { gate, follower } = this.deps;
    const caller = readCaller(this.incoming, () => gate.countUnknown());
    const attempt = this.readAttempt();
    if (attempt !== undefined) this.requestId = requestIdOfAsker('forward-auth', attempt);
    let current = routed;
    for (let matches = 1; ; matches += 1) {
      const admittance = await gate.admit({
        secret: caller.credential.secret,
        credentialKind: caller.credentialKind,
        namedProjectId: caller.namedProjectId,
        statedProjectId: caller.statedProjectId,
        service: current.action.service,
        action: current.action.name,
        route: { id: current.route.id, version: current.route.version },
        holdMs: current.route.maxDurationMs,
        requestId: this.requestId,
        fingerprint: attempt === undefined ? null : fingerprintOf(asked, caller),
        ip: this.clientAddress(),
        userAgent: userAgentOf(this.incoming.headers),
        subject: caller.subject,
        arrivedAt: this.arrivedAt,
        kept,
        pass: passText,
      });
      if (admittance.kind === 'passed' || admittance.kind === 'replayed') {
        return this.pass(current, asked, caller, JSON.parse(admittance.body) as Pass, admittance.rate);
      }
      if (admittance.kind === 'error') return this.refuse(admittance);
      if (admittance.kind === 'admitted') throw new Error('A call of a proxy was admitted.');
      if (matches === MAX_MATCHES) throw new TollgateError('SERVICE_UNAVAILABLE');
      current = await matchAgain(follower, asked);
    }
  }

  /** The proxy's id of the request. Undefined if the proxy sends none: then each question is a call of its own. */
  private readAttempt(): string | undefined {
    const header = only(this.incoming.rawHeaders, ATTEMPT_HEADER);
    if (header === undefined) return undefined;
    return idempotencyKeyOf(header) ?? fail(ATTEMPT_HEADER, 'must be 1 to 255 visible ASCII characters');
  }

  /** The address of the client. Null if the proxy does not tell it, because the address of the proxy says nothing about the client. */
  private clientAddress(): string | null {
    return this.incoming.headers['x-forwarded-for'] === undefined ? null : this.deps.proxies.of(this.incoming);
  }

  private pass({ route, params, action }: RoutedRequest, { url }: Asked, { subject = '' }: Caller, pass: Pass, rate?: RateReport) {
    const { holdId, ...caller } = pass;
    const principal: Principal = { ...caller, requestId: this.requestId, action: action.name, subject };
    const token = this.deps.tokens.sign(upstreamTarget(route, params, url).origin, principal);
    this.allow([...identityHeaders(principal, token), holdHeader(holdId), ...(rate ? rateHeaders(rate) : [])]);
  }

  /** Answers that the request may go on. Every `Tollgate-*` header is there, so that a proxy replaces the client's own. */
  private allow(headers: Header[]): void {
    const own = { ...COMMON_HEADERS, 'x-request-id': this.requestId, 'content-length': '0' };
    this.outgoing.writeHead(200, { ...own, ...Object.fromEntries(headers) }).end();
  }
}

const NOBODY = { credentialId: '', workspaceId: '', projectId: '', environment: '', action: '', subject: '' };

const holdHeader = (id: string): Header => ['Tollgate-Hold', id];

function passText({ credential, hold }: Verified): string {
  const { id: credentialId, workspaceId, environment } = credential;
  const pass: Pass = { credentialId, workspaceId, projectId: credential.projectId ?? '', environment, holdId: hold?.attempt ?? '' };
  return JSON.stringify(pass);
}

/** Two questions with the same attempt must be about the same request, otherwise one bill would let two requests through. */
function fingerprintOf({ method, host = '', url }: Asked, { statedProjectId, subject }: Caller): string {
  const request = JSON.stringify(['forward-auth', method, hostOf(host), url, statedProjectId, subject ?? null]);
  return createHash('sha256').update(request).digest('base64url');
}
