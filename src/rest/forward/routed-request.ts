import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { userAgentOf } from '../../access/people/person.events';
import type { Principal, PrincipalTokens } from '../../access/principal-tokens';
import { TollgateError } from '../../errors';
import type { CopyBudget } from '../../forwarding/copies';
import type { Forwarder } from '../../forwarding/forwarder';
import type { Header } from '../../forwarding/headers';
import type { Failure, ForwardRequest, Settle } from '../../forwarding/request';
import { PROJECT_HEADER } from '../../gate/checks';
import { MAX_KEPT_ANSWER_BYTES } from '../../gate/claims';
import type { Gate } from '../../gate/gate';
import type { BodyOwners } from '../../gate/load/body-owners';
import type { KeptBytes } from '../../gate/load/kept-bytes';
import type { PlacedCredential } from '../../gate/call';
import type { OpenCall } from '../../gate/open-call';
import { whenAnswered } from '../../lib/answered';
import type { Log } from '../../lib/log';
import type { RouteFollower, RoutedRequest } from '../../routes/route-follower';
import { upstreamTarget } from '../../routes/upstream-target';
import { rateHeaders, writeError, type ErrorAnswer } from '../answer';
import type { ClientAddresses } from '../client-address';
import { exposeAnswer } from '../cors';
import { chosenRequestId, newRequestId } from '../request-id';
import { httpStatusOf } from '../status';
import { readWhole } from './body';
import { readCaller, type Caller } from './caller';
import { keptAnswerIn, keptText } from './kept-answer';
import { MAX_MATCHES, askedBy, matchAgain, passesAsPreflight } from './matching';
import { forwardedHeaders, identityHeaders } from './upstream-headers';

/** A hold of a route lasts this long after its admission or its last renewal. So a crash gives the credit back within two minutes. */
const ROUTE_HOLD_MS = 90_000;
const RENEW_EVERY_MS = 30_000;

export interface RoutedRequestDeps {
  gate: Gate;
  follower: RouteFollower;
  forwarder: Forwarder;
  tokens: PrincipalTokens;
  addresses: ClientAddresses;
  owners: BodyOwners;
  bodyLimitBytes: number;
  corsOrigins: readonly string[];
  log: Log;
}

/** One request that a route matches, from its headers to its answer. */
export class RoutedCall {
  /** The id that the caller chose, or one of this server. */
  private requestId = newRequestId();
  private readonly arrivedAt = performance.now();
  private readonly kept: KeptBytes;

  constructor(
    private readonly deps: RoutedRequestDeps,
    private readonly incoming: IncomingMessage,
    private readonly outgoing: ServerResponse,
  ) {
    this.kept = deps.gate.keptBytes();
  }

  /** Answers the request. Never rejects. */
  async answer(routed: RoutedRequest): Promise<void> {
    this.kept.use();
    try {
      if (this.deps.forwarder.isLoop(this.incoming.rawHeaders)) throw new TollgateError('LOOP_DETECTED');
      if (passesAsPreflight(this.incoming, routed.route)) await this.passPreflight(routed);
      else await this.call(routed);
    } catch (error) {
      const failure = error instanceof TollgateError ? error : new TollgateError('INTERNAL', undefined, {}, { cause: error });
      if (failure.cause) this.deps.log.error({ err: failure.cause, requestId: this.requestId }, 'a request of a route failed');
      this.refuse({ code: failure.code, message: failure.message, details: failure.details });
    } finally {
      this.kept.release();
    }
  }

  /** Answers with an error, unless an answer has begun. */
  refuse(error: ErrorAnswer): void {
    const { incoming, outgoing } = this;
    if (outgoing.headersSent || outgoing.destroyed) return void outgoing.destroy();
    // The caller waits for a permission to send its body, so the next bytes can be a body or a request
    if (!incoming.complete && this.header('expect') !== undefined) outgoing.setHeader('connection', 'close');
    exposeAnswer(incoming, outgoing, this.deps.corsOrigins);
    writeError(outgoing, this.requestId, error);
  }

  private async call(routed: RoutedRequest): Promise<void> {
    const caller = readCaller(this.incoming, () => this.deps.gate.countUnknown());
    const chosen = routed.route.replayable ? chosenRequestId(undefined, this.header('idempotency-key')) : undefined;
    this.requestId = chosen ?? this.requestId;
    const body = chosen === undefined ? undefined : await this.readBody(routed, caller);
    let current = routed;
    for (let matches = 1; ; matches += 1) {
      const admittance = await this.deps.gate.admit({
        secret: caller.credential.secret,
        credentialKind: caller.credentialKind,
        namedProjectId: caller.namedProjectId,
        statedProjectId: caller.statedProjectId,
        service: current.action.service,
        action: current.action.name,
        route: { id: current.route.id, version: current.route.version },
        holdMs: ROUTE_HOLD_MS,
        requestId: this.requestId,
        fingerprint: body ? this.fingerprintOf(current, caller, body) : null,
        ip: this.deps.addresses.of(this.incoming),
        userAgent: userAgentOf(this.incoming.headers),
        subject: caller.subject,
        arrivedAt: this.arrivedAt,
        kept: this.kept,
      });
      if (admittance.kind === 'admitted') return this.forward(current, caller, admittance.open, body);
      if (admittance.kind === 'replayed') return this.replay(admittance.body, rateHeaders(admittance.rate), current.route.idleTimeoutMs);
      if (admittance.kind === 'error') return this.refuse(admittance);
      if (matches === MAX_MATCHES) throw new TollgateError('SERVICE_UNAVAILABLE');
      current = await matchAgain(this.deps.follower, askedBy(this.incoming));
    }
  }

  /** Reads the whole body of a request that can be repeated. Reserves memory for it first, which counts for the owner of the secret. */
  private async readBody({ route }: RoutedRequest, { credential, credentialKind, namedProjectId }: Caller): Promise<Buffer> {
    const { bodyLimitBytes, owners, addresses } = this.deps;
    const tooLarge = new TollgateError('PAYLOAD_TOO_LARGE', undefined, { limit_bytes: bodyLimitBytes });
    const declared = this.header('content-length') ?? (this.header('transfer-encoding') ? String(bodyLimitBytes) : '0');
    if (Number(declared) > bodyLimitBytes) throw tooLarge;
    const owner = await owners.of({ secret: credential.secret, credentialKind, namedProjectId, ip: addresses.of(this.incoming) });
    if ('code' in owner) throw new TollgateError(owner.code, undefined, owner.details);
    if (!this.kept.keep(Number(declared), owner)) throw new TollgateError('SERVICE_UNAVAILABLE');
    if (this.header('expect')?.toLowerCase() === '100-continue') this.outgoing.writeContinue();
    const body = await readWhole(this.incoming, bodyLimitBytes, route);
    if (!body) throw tooLarge;
    return body;
  }

  /** The route's host, method, path, query, content type and body decide whether two requests are the same. */
  private fingerprintOf({ route }: RoutedRequest, { namedProjectId }: Caller, body: Buffer): string {
    const { method, url } = this.incoming;
    const head = JSON.stringify([method, url, this.header('content-type') ?? null, namedProjectId, route.host]);
    return createHash('sha256').update(`${head}\n`).update(body).digest('base64url');
  }

  /** Sends an admitted request to its upstream, and its answer to the caller. */
  private async forward(routed: RoutedRequest, caller: Caller, open: OpenCall, body: Buffer | undefined): Promise<void> {
    let request: ForwardRequest;
    try {
      request = this.requestOf(routed, caller, open, body);
    } catch (error) {
      open.cancel();
      throw error;
    }
    const error = await this.deps.forwarder.forward(request);
    if (error) this.refuse({ code: error.code, message: error.message, details: error.details, rate: open.admitted.rate });
  }

  private requestOf(
    { route, params }: RoutedRequest,
    caller: Caller,
    open: OpenCall,
    body: Buffer | undefined,
  ): ForwardRequest {
    const { hold, action, credential, rate } = open.admitted;
    const pace = { everyMs: RENEW_EVERY_MS, lastsMs: ROUTE_HOLD_MS, atMostMs: route.maxDurationMs + ROUTE_HOLD_MS };
    const { origin, path } = upstreamTarget(route, params, this.incoming.url as string);
    const principal: Principal = {
      credentialId: credential.id,
      workspaceId: credential.workspaceId,
      projectId: credential.projectId,
      environment: credential.environment,
      requestId: hold.requestId,
      action: action.name,
      subject: caller.subject ?? '',
    };
    const answered: Header[] = [['X-Request-Id', hold.requestId], ...rateHeaders(rate)];
    // Written out without spread objects, which would cost more than the rest of this function
    return {
      incoming: this.incoming,
      outgoing: this.outgoing,
      origin,
      path,
      body,
      holder: credential,
      headersToAdd: [
        ...identityHeaders(principal, this.deps.tokens.sign(origin, principal)),
        ...forwardedHeaders(this.incoming, this.deps.addresses),
      ],
      headersToDrop: route.passCredential ? [] : [caller.credential.header, PROJECT_HEADER.toLowerCase()],
      headersToAnswer: answered,
      maxBodyBytes: route.maxBodyBytes,
      timeoutMs: action.timeoutMs,
      idleTimeoutMs: route.idleTimeoutMs,
      maxDurationMs: route.maxDurationMs,
      isBilled: (status) => isBilled(route.billedStatuses, status),
      usage: route.usage,
      copyBudget: this.copyBudget(credential, route.usage.length > 0 ? RESERVED_COPY_BYTES : 0),
      keepAnswerUpToBytes: hold.claimed ? MAX_KEPT_ANSWER_BYTES : undefined,
      onBegin: (stop) => open.keepOpen(pace, () => stop('Its hold was lost.')),
      settle: this.settleOf(open),
    };
  }

  /**
   * Memory for copies of the answer. It counts for the project of the call. The body is counted elsewhere. `reserved` bytes are taken at
   * once. Throws SERVICE_UNAVAILABLE if they are not free. Otherwise a project could fill its own memory, and avoid that its usage is
   * measured.
   */
  private copyBudget({ projectId, workspaceId }: PlacedCredential, reserved: number): CopyBudget {
    const copies = this.deps.gate.keptBytes();
    copies.use();
    const sharer = { id: projectId, group: workspaceId };
    if (!copies.keep(reserved, sharer)) throw new TollgateError('SERVICE_UNAVAILABLE');
    return { keep: (bytes) => copies.keep(Math.max(bytes, reserved), sharer), release: () => copies.release() };
  }

  /** Bills a complete answer with a billed status, and voids every other end. */
  private settleOf(open: OpenCall): Settle {
    const { time, arrivedAt } = { time: performance.now(), arrivedAt: this.arrivedAt };
    const times = () => ({ actionMs: performance.now() - time, arrivedAt });
    const { log } = this.deps;
    const { requestId } = open.admitted.hold;
    return {
      complete: async ({ status, isBilled: isBilledStatus, usage, kept }) => {
        const text = kept && keptText(kept);
        try {
          if (isBilledStatus) {
            await open.settle({ kind: 'posted', usage, httpStatus: status, answer: () => text ?? TOO_LARGE, ...times() }, text?.length);
          } else {
            await open.settle({ kind: 'voided', outcome: 'FAILED', errorCode: 'UPSTREAM_STATUS', httpStatus: status, ...times() });
          }
          return null;
        } catch (error) {
          return asTollgateError(error);
        }
      },
      failed: async ({ code, cause }: Failure) => {
        log.warn({ requestId, cause }, `route: ${code}`);
        const failure = new TollgateError(code);
        const httpStatus = this.outgoing.headersSent ? this.outgoing.statusCode : httpStatusOf(code);
        try {
          await open.settle({ kind: 'voided', outcome: 'FAILED', errorCode: code, httpStatus, ...times() });
          return failure;
        } catch (error) {
          return asTollgateError(error);
        }
      },
    };
  }

  /** Passes a CORS preflight on. It has no credential, is not billed, and is not logged. */
  private async passPreflight({ route, params }: RoutedRequest): Promise<void> {
    const { origin, path } = upstreamTarget(route, params, this.incoming.url as string);
    const error = await this.deps.forwarder.forward({
      incoming: this.incoming,
      outgoing: this.outgoing,
      origin,
      path,
      holder: { projectId: route.id, workspaceId: route.id },
      headersToAdd: [['Tollgate-Request-Id', this.requestId], ...forwardedHeaders(this.incoming, this.deps.addresses)],
      headersToDrop: ['authorization', 'x-api-key'],
      headersToAnswer: [['X-Request-Id', this.requestId]],
      maxBodyBytes: 0,
      timeoutMs: route.idleTimeoutMs,
      idleTimeoutMs: route.idleTimeoutMs,
      maxDurationMs: route.idleTimeoutMs,
      isBilled: () => false,
      usage: [],
      copyBudget: NO_COPIES,
      settle: { complete: async () => null, failed: async ({ code }) => new TollgateError(code) },
    });
    if (error) this.refuse({ code: error.code, message: error.message, details: error.details });
  }

  /** Repeats a kept answer. Its memory counts until the caller has read it, or has read nothing for `idleTimeoutMs`. */
  private async replay(text: string, rate: Header[], idleTimeoutMs: number): Promise<void> {
    const { status, headers, body } = keptAnswerIn(text);
    const added = new Set([...rate.map(([name]) => name.toLowerCase()), 'content-length', 'x-request-id', 'idempotency-replayed']);
    const kept = headers.filter((_, at) => !added.has((headers[at - (at % 2)] as string).toLowerCase()));
    const own = ['Content-Length', String(body.length), 'X-Request-Id', this.requestId, 'Idempotency-Replayed', 'true'];
    const { incoming, outgoing } = this;
    outgoing.setTimeout(idleTimeoutMs, () => incoming.socket.destroy());
    outgoing.writeHead(status, [...kept, ...own, ...rate.flat()]).end(body);
    await new Promise<void>((resolve) => whenAnswered(incoming, outgoing, resolve));
    incoming.socket.setTimeout(0);
  }

  private header(name: string): string | undefined {
    const value = this.incoming.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }
}

/** Memory to measure the usage of most answers: one decoder, and a copy of 32 KiB. */
const RESERVED_COPY_BYTES = 163_840;

const NO_COPIES: CopyBudget = { keep: () => false, release: () => undefined };

/** Kept in place of an answer that is too large to keep. Its length makes the gate keep nothing. */
const TOO_LARGE = ' '.repeat(MAX_KEPT_ANSWER_BYTES + 1);

/** Whether a status is among the billed ones, which are single statuses such as `201` and classes such as `2xx`. */
function isBilled(billed: readonly string[], status: number): boolean {
  return billed.includes(String(status)) || billed.includes(`${Math.floor(status / 100)}xx`);
}

const asTollgateError = (error: unknown): TollgateError =>
  error instanceof TollgateError ? error : new TollgateError('INTERNAL', undefined, {}, { cause: error });

