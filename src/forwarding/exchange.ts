import type { Dispatcher } from 'undici';
import type { TollgateError } from '../errors';
import { whenAnswered } from '../lib/answered';
import type { Lanes } from '../lib/lanes';
import type { UpstreamConnections } from '../lib/upstream-connections';
import { Answer } from './answer';
import { readHead, readTrailers, type AnswerHead } from './answer-headers';
import { CallerBody, discardRest, type CallerBodyEvents } from './caller-body';
import { Copies, GrowingCopy } from './copies';
import type { Header } from './headers';
import { Patience } from './patience';
import { headersToUpstream, isLoop } from './request-headers';
import type { CompleteAnswer, Failure, FailureCode, ForwardRequest } from './request';
import { Measure } from './usage/measure';

export interface ExchangeParts {
  places: Lanes;
  connections: UpstreamConnections;
  ownCookies: ReadonlySet<string>;
  loopId: string;
}

/** How the upstream's part of a call ended. */
type End = { kind: 'complete'; trailers: Header[]; usageField: string | undefined } | { kind: 'failed'; failure: Failure };

const GONE = 'The caller left before its request was whole.';
/** Time after `maxDurationMs` to read the rest of an answer whose caller has read slowly. A route's hold lasts longer than that. */
const REST_MS = 60_000;

/** One call: the request on its way to the upstream, and the answer on its way to the caller. */
export class Exchange implements Dispatcher.DispatchHandler, CallerBodyEvents {
  private readonly answer: Answer;
  private readonly patience: Patience;
  private readonly copies: Copies;
  private readonly ended: Promise<End>;
  private end: End | undefined;
  private resolveEnd!: (end: End) => void;
  /** The body, if it is not whole yet. */
  private body: CallerBody | undefined;
  /** The body, if it is whole. */
  private bytes: Buffer | undefined;
  private controller: Dispatcher.DispatchController | undefined;
  private head: AnswerHead | undefined;
  private measure: Measure | undefined;
  private kept: GrowingCopy | undefined;
  /** Set while the call waits for a place. */
  private waiting: AbortController | undefined;
  /** True while the caller sends its body only if it is asked to. */
  private waitsForContinue = false;
  private isCallerBlocked = false;
  private isMeasureBlocked = false;
  private isCallerGone = false;
  /** True if the caller has read more slowly than the upstream sends. Then the upstream gets REST_MS once. */
  private mayOverrun = false;

  constructor(
    private readonly request: ForwardRequest,
    private readonly parts: ExchangeParts,
  ) {
    const { outgoing, timeoutMs, idleTimeoutMs, maxDurationMs, copyBudget } = request;
    this.ended = new Promise((resolve) => (this.resolveEnd = resolve));
    this.copies = new Copies(copyBudget);
    this.patience = new Patience(maxDurationMs, timeoutMs, () => this.giveUp());
    this.answer = new Answer(outgoing, idleTimeoutMs, { onBlocked: () => this.callerBlocks(true), onRoom: () => this.callerBlocks(false) });
  }

  /** Runs the call. See Forwarder.forward. */
  async run(): Promise<TollgateError | null> {
    const { incoming, outgoing } = this.request;
    try {
      this.request.onBegin?.((cause) => this.fail('SERVICE_UNAVAILABLE', `The call was stopped: ${cause}`));
      this.prepare();
      whenAnswered(incoming, outgoing, () => this.callerLeaves());
      if (!this.end) await this.start();
      const end = await this.ended;
      const isDiscarded = this.discardRest();
      const error = await this.settle(end);
      return await this.sendEnd(end, error, isDiscarded);
    } catch (error) {
      if (this.answer.hasBegun) this.answer.reset();
      throw error;
    } finally {
      this.measure?.stop();
      this.copies.release();
    }
  }

  /** Ends the call without a complete answer. Does nothing if it has ended. */
  fail(code: FailureCode, cause: string): void {
    if (this.end) return;
    this.finish({ kind: 'failed', failure: { code, cause } });
    this.waiting?.abort();
    this.controller?.abort(new Error(cause));
  }

  /** The upstream begins to take the body. Until the body is whole, the upstream may wait for it. */
  onStart(): void {
    const { outgoing, idleTimeoutMs } = this.request;
    if (this.waitsForContinue) outgoing.writeContinue();
    this.waitsForContinue = false;
    this.patience.expect(idleTimeoutMs);
  }

  onProgress(): void {
    this.patience.progress();
  }

  onEnd(): void {
    if (!this.head) this.patience.expect(this.request.timeoutMs);
  }

  onTooLarge(): void {
    if (this.mustBeBilled) this.answer.reset();
    else this.failAsTooLarge();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.end) controller.abort(new Error('The call has ended.'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _headers: unknown, statusMessage = ''): void {
    if (this.end || status < 200) return; // interim answers are dropped
    const { incoming, headersToAnswer, idleTimeoutMs, isBilled, keepAnswerUpToBytes } = this.request;
    const head = readHead(status, statusMessage, textsOf(controller.rawHeaders), {
      method: incoming.method as string,
      add: headersToAnswer,
      ownCookies: this.parts.ownCookies,
      passTrailers: incoming.httpVersionMinor > 0,
    });
    this.head = head;
    this.patience.expect(idleTimeoutMs);
    if (isBilled(status)) {
      this.measure = new Measure(head, this.request.usage, this.copies, () => this.measureBlocks(false));
      if (keepAnswerUpToBytes !== undefined) this.kept = new GrowingCopy(this.copies, keepAnswerUpToBytes);
    }
    this.answer.begin(head);
    // undici would wait for a body that Content-Length announces, although such an answer has none
    if (head.isBodiless) this.complete([]);
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.end) return;
    this.patience.progress();
    this.kept?.add(chunk);
    if (this.measure?.take(chunk) === false) this.measureBlocks(true);
    if (!this.isCallerGone) this.answer.write(chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.leavePlace();
    if (this.end) return;
    if (this.parts.connections.isReset) return this.fail('UPSTREAM_FAILED', 'The connection was reset in the middle of the answer.');
    try {
      this.complete(textsOf(controller.rawTrailers));
    } catch (error) {
      this.fail('UPSTREAM_FAILED', describe(error)); // undici does not report what is thrown here
    }
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.leavePlace();
    this.fail('UPSTREAM_FAILED', describe(error));
  }

  /** Checks the request, and takes over its body. The part of it that has arrived would be lost with the caller's connection. */
  private prepare(): void {
    const { incoming, body, maxBodyBytes } = this.request;
    const { 'content-length': length = '0', 'transfer-encoding': coding, expect } = incoming.headers;
    this.waitsForContinue = expect?.toLowerCase() === '100-continue' && !body;
    const hasBody = coding !== undefined || Number(length) > 0;
    if (isLoop(incoming.rawHeaders, this.parts.loopId)) this.fail('LOOP_DETECTED', 'The request has passed through here before.');
    else if (Number(length) > maxBodyBytes) this.failAsTooLarge();
    else if (body || !hasBody) this.bytes = body;
    else if (incoming.destroyed) this.fail('CALLER_GONE', GONE);
    else if (incoming.complete && incoming.readableLength <= maxBodyBytes) this.bytes = (incoming.read() as Buffer | null) ?? undefined;
    else this.body = new CallerBody(incoming, maxBodyBytes, this);
  }

  /** Sends the request, once there is a place at the upstream. */
  private async start(): Promise<void> {
    const { origin, holder } = this.request;
    const { places } = this.parts;
    if (!places.tryEnter(origin, holder)) {
      this.waiting = new AbortController();
      try {
        await places.enter(origin, holder, this.waiting.signal);
      } catch {
        return; // the call has ended
      }
    }
    if (this.end) this.leavePlace();
    else this.dispatch();
  }

  private dispatch(): void {
    const { incoming, origin, path, headersToAdd, headersToDrop } = this.request;
    const { connections, ownCookies, loopId } = this.parts;
    const headers = headersToUpstream(incoming.rawHeaders, {
      add: headersToAdd,
      drop: headersToDrop,
      ownCookies,
      loopId,
      contentLength: this.body && incoming.headers['content-length'],
      mustBeReadable: this.request.usage.length > 0,
    });
    const body = this.body ?? this.bytes;
    // A request that is not idempotent is never sent again by undici
    connections.agent.dispatch({ origin, path, method: incoming.method as string, headers, body, idempotent: false }, this);
  }

  private complete(rawTrailers: string[]): void {
    const { usage, trailers } = readTrailers(rawTrailers);
    this.finish({ kind: 'complete', trailers, usageField: usage });
  }

  private finish(end: End): void {
    this.end = end;
    this.patience.stop();
    this.answer.stop();
    if (this.body?.isWhole === false) this.body.destroy();
    this.resolveEnd(end);
  }

  private async settle(end: End): Promise<TollgateError | null> {
    const { settle } = this.request;
    if (end.kind === 'failed') return settle.failed(end.failure);
    return settle.complete(await this.completeAnswer(end.usageField));
  }

  /** Lets the caller see the end of a settled call. Returns an error that is still to be sent. */
  private async sendEnd(end: End, error: TollgateError | null, isDiscarded: Promise<void> | null): Promise<TollgateError | null> {
    const { answer } = this;
    const passes = end.kind === 'complete' && error === null;
    if (answer.hasBegun && !passes) {
      answer.reset();
      return null;
    }
    // After the last answer Node closes the connection. If the caller still sent then, it would get a reset and lose the answer
    if (!this.request.outgoing.shouldKeepAlive) await isDiscarded;
    if (passes) answer.end(end.trailers);
    return this.isCallerGone ? null : error;
  }

  /** Reads what the caller still sends. Null if it sends nothing. A connection that is used again must not wait for it for long. */
  private discardRest(): Promise<void> | null {
    const { incoming, outgoing } = this.request;
    if (incoming.complete || incoming.destroyed || this.waitsForContinue) return null;
    return discardRest(incoming, () => {
      if (outgoing.shouldKeepAlive) incoming.socket.destroy();
    });
  }

  private async completeAnswer(usageField: string | undefined): Promise<CompleteAnswer> {
    const { status, headers } = this.head as AnswerHead;
    const usage = (await this.measure?.end(usageField)) ?? null;
    const body = this.kept?.bytes();
    const kept = body && { status, headers: withoutSetCookie(headers), body };
    return { status, isBilled: this.measure !== undefined, usage, kept };
  }

  /** True once an answer has begun that is billed if it comes to its end. From then on the caller cannot end the call. */
  private get mustBeBilled(): boolean {
    return this.measure !== undefined;
  }

  /**
   * A caller that leaves early takes its call along. After its request is whole, or after a billed answer has begun, the answer is read to
   * its end and billed. Otherwise a caller could keep back the end of its request, read almost all of the answer, and leave without a bill.
   */
  private callerLeaves(): void {
    if (this.request.outgoing.writableFinished) return;
    this.isCallerGone = true;
    if (this.body?.isWhole === false && !this.mustBeBilled) this.fail('CALLER_GONE', GONE);
    else this.callerBlocks(false);
  }

  /** Too much time has passed without progress, or in all. */
  private giveUp(): void {
    const { maxDurationMs, timeoutMs, idleTimeoutMs } = this.request;
    if (this.patience.isOver && this.mustBeBilled && this.mayOverrun) return this.overrun();
    if (this.patience.isOver) return this.fail('UPSTREAM_TIMEOUT', `The call took longer than ${maxDurationMs} ms.`);
    if (this.body?.isHungry) return this.fail('CALLER_GONE', 'The caller stopped sending its request.');
    if (this.head) return this.fail('UPSTREAM_TIMEOUT', `The upstream sent nothing for ${idleTimeoutMs} ms.`);
    this.fail('UPSTREAM_TIMEOUT', `No answer began within ${timeoutMs} ms.`);
  }

  /** Cuts the caller off and reads the rest of the answer, so that a caller cannot read slowly to avoid its bill. */
  private overrun(): void {
    this.mayOverrun = false;
    this.patience.extend(REST_MS);
    this.isCallerGone = true;
    this.answer.reset();
    this.callerBlocks(false);
  }

  private failAsTooLarge(): void {
    this.fail('PAYLOAD_TOO_LARGE', `The body is larger than ${this.request.maxBodyBytes} bytes.`);
  }

  private callerBlocks(isBlocked: boolean): void {
    this.isCallerBlocked = isBlocked;
    this.mayOverrun ||= isBlocked;
    this.pauseOrResume();
  }

  private measureBlocks(isBlocked: boolean): void {
    this.isMeasureBlocked = isBlocked;
    this.pauseOrResume();
  }

  /** The upstream sends only while its answer can be passed on. While it cannot, the upstream's silence is not its fault. */
  private pauseOrResume(): void {
    const { controller } = this;
    if (this.end || !controller || !this.head) return;
    const mustPause = this.isCallerBlocked || this.isMeasureBlocked;
    if (mustPause === controller.paused) return;
    this.patience.expect(mustPause ? Infinity : this.request.idleTimeoutMs);
    if (mustPause) controller.pause();
    else controller.resume();
  }

  private leavePlace(): void {
    this.parts.places.leave(this.request.origin, this.request.holder);
  }
}

/** Headers as undici gives them. */
function textsOf(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  return Array.isArray(raw) ? raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1'))) : [];
}

function withoutSetCookie(headers: readonly string[]): string[] {
  return headers.filter((_, at) => headers[at - (at % 2)]?.toLowerCase() !== 'set-cookie');
}

const MAX_CAUSE_LENGTH = 1000;

/** Describes a failure in one line. The message is empty if several addresses of a host were tried; then the code tells the reason. */
function describe(error: unknown): string {
  const { name, code, message } = (error ?? {}) as { name?: unknown; code?: unknown; message?: unknown };
  return [name, code, message].filter((part) => typeof part === 'string' && part !== '').join(' ').slice(0, MAX_CAUSE_LENGTH);
}
