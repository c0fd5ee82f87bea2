import { setTimeout as wait } from 'node:timers/promises';
import { TollgateError } from '../src/errors';
import { get, startBytes, useForwarder, type FrontOptions, type Settled } from './support/forwarding';
import { sendRaw } from './support/raw';
import { startRawServer } from './support/raw-upstream';
import { until } from './support/until';

const { startFront } = useForwarder();

const OK_LENGTH = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n';
const OK_CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** Settles a call only when `open` is called. */
function gate(): { onSettle: NonNullable<FrontOptions['onSettle']>; reached: () => boolean; open: (error?: TollgateError) => void } {
  let open!: (error?: TollgateError) => void;
  let isReached = false;
  const opened = new Promise<TollgateError | null>((resolve) => (open = (error) => resolve(error ?? null)));
  return {
    onSettle: () => {
      isReached = true;
      return opened;
    },
    reached: () => isReached,
    open,
  };
}

/** Writes the parts one after another, with a pause, so that each arrives alone. */
const inParts = (...parts: string[]): Promise<number> =>
  startRawServer((socket) => {
    socket.once('data', () => {
      void (async () => {
        for (const part of parts) {
          socket.write(part);
          await wait(30);
        }
      })();
    });
  });

describe('the end of an answer is kept back until the call is settled', () => {
  it.each([
    ['its last byte, if its length is known', [OK_LENGTH, 'he', 'llo'], 'hell', 'hello'],
    ['the last chunk, if it is chunked', [OK_CHUNKED, '5\r\nhello\r\n', '0\r\n\r\n'], 'hello\r\n', '0\r\n\r\n'],
    ['all of it, if it arrives whole', [`${OK_LENGTH}hello`], '', 'hello'],
    ['the head, if the length is zero', ['HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'], '', '\r\n\r\n'],
    ['the head of 204', ['HTTP/1.1 204 No Content\r\n\r\n'], '', '\r\n\r\n'],
    ['the head of 304, even with a length', ['HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n'], '', '\r\n\r\n'],
  ])('%s', async (_what, parts, before, after) => {
    const { onSettle, reached, open } = gate();
    const front = await startFront(await inParts(...parts), { onSettle });
    const caller = sendRaw(front.url, GET);
    await until(reached, 'the end of the answer');
    await until(() => caller.text().endsWith(before), 'the part before the end');
    await wait(50);
    expect(caller.text().endsWith(before)).toBe(true);
    expect(caller.text() === '').toBe(before === '');
    open();
    await until(() => caller.text().endsWith(after), 'the end');
  });

  it('the head of an answer to HEAD', async () => {
    const { onSettle, reached, open } = gate();
    const front = await startFront(await startBytes('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'), { onSettle });
    const caller = sendRaw(front.url, GET.replace('GET', 'HEAD'));
    await until(reached, 'the end of the answer');
    await wait(30);
    expect(caller.text()).toBe('');
    open();
    await caller.answers(1);
    expect(caller.text()).toContain('Content-Length: 5');
  });
});

describe('an answer that is not settled', () => {
  const refusal = new TollgateError('OUTCOME_UNKNOWN');

  it('is replaced by an error if it has not begun', async () => {
    const front = await startFront(await startBytes(`${OK_LENGTH}hello`), { onSettle: () => Promise.resolve(refusal) });
    expect(await get(front.url)).toMatchObject({ status: 502, body: Buffer.from('OUTCOME_UNKNOWN') });
  });

  it.each([
    ['a length', OK_LENGTH, 'hello'],
    ['chunks', OK_CHUNKED, '5\r\nhello\r\n0\r\n\r\n'],
  ])('breaks off with a reset if it has begun, with %s', async (_what, head, rest) => {
    const front = await startFront(await inParts(head, rest), { onSettle: () => Promise.resolve(refusal) });
    await expect(get(front.url)).rejects.toMatchObject({ code: 'ECONNRESET' });
  });
});

describe('an answer whose settlement throws', () => {
  const onSettle = (): Promise<never> => Promise.reject(new Error('The database is gone.'));

  it('leaves the error to the caller of the forwarder if it has not begun', async () => {
    const front = await startFront(await startBytes(`${OK_LENGTH}hello`), { onSettle });
    expect((await get(front.url)).body.toString()).toBe('INTERNAL');
  });

  it('breaks off if it has begun', async () => {
    const front = await startFront(await inParts(OK_LENGTH, 'hello'), { onSettle });
    await expect(get(front.url)).rejects.toMatchObject({ code: 'ECONNRESET' });
  });
});

describe('an upstream that breaks off', () => {
  const failed: Partial<Settled> = { kind: 'failed', code: 'UPSTREAM_FAILED' };

  it.each([
    ['a length', `${OK_LENGTH}hel`],
    ['chunks', `${OK_CHUNKED}5\r\nhello\r\n`],
  ])('after the head cuts the connection of the caller, with %s', async (_what, bytes) => {
    const port = await startRawServer((socket) => {
      socket.once('data', () => socket.write(bytes, () => setTimeout(() => socket.destroy(), 30)));
    });
    const front = await startFront(port);
    await expect(get(front.url)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await front.end()).toMatchObject(failed);
  });

  it.each([
    ['nothing', ''],
    ['half a head', 'HTTP/1.1 200 OK\r\nConte'],
    ['a head and a part of its body at once', `${OK_LENGTH}hel`],
  ])('after %s is answered as UPSTREAM_FAILED or cut', async (_what, bytes) => {
    const port = await startRawServer((socket) => socket.once('data', () => socket.end(bytes)));
    const front = await startFront(port);
    await get(front.url).then(
      (got) => expect(got.body.toString()).toBe('UPSTREAM_FAILED'),
      (error) => expect(error).toMatchObject({ code: 'ECONNRESET' }),
    );
    expect(await front.end()).toMatchObject(failed);
  });

  it('by a reset fails the call, even if the answer has no length', async () => {
    const port = await startRawServer((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\nhello', () => setTimeout(() => socket.resetAndDestroy(), 30)));
    });
    const front = await startFront(port);
    await expect(get(front.url)).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(await front.end()).toMatchObject(failed);
  });

  it('resets the connection of an HTTP/1.0 caller, to whom a close would be the end', async () => {
    const port = await startRawServer((socket) => {
      socket.once('data', () => socket.write(`${OK_CHUNKED}5\r\nhello\r\n`, () => setTimeout(() => socket.destroy(), 30)));
    });
    const front = await startFront(port);
    const caller = sendRaw(front.url, 'GET / HTTP/1.0\r\n\r\n');
    let error: NodeJS.ErrnoException | undefined;
    caller.socket.on('error', (reason) => (error = reason));
    await caller.closed();
    expect(caller.text()).toMatch(/\r\n\r\nhello$/);
    expect(error?.code).toBe('ECONNRESET');
  });

  it('does not harm the answers before it on a connection of the caller', async () => {
    const port = await startRawServer((socket) => {
      socket.on('data', (request) => {
        if (request.toString().includes('/bad')) socket.write(`${OK_CHUNKED}5\r\nhello\r\n`, () => setTimeout(() => socket.destroy(), 20));
        else setTimeout(() => socket.write(`${OK_LENGTH}first`), 100);
      });
    });
    const front = await startFront(port);
    const caller = sendRaw(front.url, `GET /good HTTP/1.1\r\nHost: a\r\n\r\nGET /bad HTTP/1.1\r\nHost: a\r\n\r\n`);
    await caller.closed();
    expect(caller.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nfirst/);
    expect(caller.text()).not.toContain('0\r\n\r\n');
  });
});
