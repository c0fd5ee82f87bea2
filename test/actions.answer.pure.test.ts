import { once } from 'node:events';
import { MAX_ANSWER_BYTES } from '../src/actions/http-runner';
import { NO, ODD_JSON, OK, json, startRawUpstream, type Answer } from './support/raw-upstream';
import { failed, useRunner } from './support/runner';

const { runAgainst } = useRunner();

/** An answer of exactly `bytes` bytes. */
function answerOf(bytes: number): string {
  const [head, tail] = ['{"ok":true,"data":{"text":"', '"}}'];
  return head + 'a'.repeat(bytes - head.length - tail.length) + tail;
}

describe('an answer', () => {
  it('of 2xx that says ok brings its data', async () => {
    expect(await runAgainst(json(201, OK))).toEqual({ kind: 'ok', dataJson: '{"face":1}' });
  });

  it('brings a key named __proto__ as it came', async () => {
    expect(await runAgainst(json(200, '{"ok":true,"data":{"__proto__":{"a":1}}}'))).toEqual({ kind: 'ok', dataJson: '{"__proto__":{"a":1}}' });
  });

  it.each([['odd ones', ODD_JSON], ['deeply nested ones', `{"a":${'['.repeat(90_000)}${']'.repeat(90_000)}}`]])('brings its data as they were written: %s', async (_what, dataJson) => {
    expect(await runAgainst(json(200, `{ "data" : ${dataJson} , "ok" : true }`))).toEqual({ kind: 'ok', dataJson });
  });

  it.each([200, 400, 404, 429])('of %i that says no is the action saying no', async (status) => {
    expect(await runAgainst(json(status, NO))).toEqual({ kind: 'no', errors: [{ code: 'NO_FACE_DETECTED', message: 'There is no face.' }] });
  });

  it.each([
    ['4xx of another form', 401, '{"error":"unauthorized"}'],
    ['4xx that says ok', 404, OK],
    ['4xx that is not JSON', 404, '<h1>Not found</h1>'],
    ['5xx, even where it says no', 500, NO],
    ['5xx, even where it says ok', 503, OK],
    ['3xx, even where it says ok', 300, OK],
    ['304', 304, ''],
    ['2xx without a body', 204, ''],
    ['2xx that is not JSON', 200, 'ok'],
    ['JSON that is cut off', 200, OK.slice(0, -1)],
    ['JSON that is no object', 200, '[]'],
    ['JSON of another form', 200, '{"data":{}}'],
    ['ok that is no boolean', 200, '{"ok":"true","data":{}}'],
    ['ok without data', 200, '{"ok":true}'],
    ['ok with data that are null', 200, '{"ok":true,"data":null}'],
    ['ok with data that are a list', 200, '{"ok":true,"data":[]}'],
    ['ok that is named twice', 200, '{"ok":false,"ok":true,"data":{}}'],
    ['ok with data that have a name twice', 200, '{"ok":true,"data":{"a":[{"b":1,"\\u0062":2}]}}'],
    ['a no that has a name twice', 200, NO.replace('{"ok"', '{"a":{"b":1,"b":1},"ok"')],
    ['a no without errors', 200, '{"ok":false}'],
    ['a no with an empty list of errors', 200, '{"ok":false,"errors":[]}'],
    ['a no with an error that lacks its message', 200, '{"ok":false,"errors":[{"code":"A"}]}'],
  ])('of %s is UPSTREAM_FAILED', async (_what, status, body) => {
    expect(await runAgainst(json(status, body))).toEqual(failed);
  });

  it('that is not UTF-8 is UPSTREAM_FAILED', async () => {
    const body = Buffer.concat([Buffer.from('{"ok":true,"data":{"a":"'), Buffer.from([0xff]), Buffer.from('"}}')]);
    expect(await runAgainst((response) => response.end(body))).toEqual(failed);
  });

  it('in an encoding that was not asked for is UPSTREAM_FAILED', async () => {
    expect(await runAgainst((response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(OK))).toEqual(failed);
  });

  it('that redirects is UPSTREAM_FAILED, and nobody follows it', async () => {
    const elsewhere = await startRawUpstream(json(200, OK));
    for (const status of [301, 302, 303, 307, 308]) {
      expect(await runAgainst((response) => response.writeHead(status, { location: elsewhere.url }).end(OK))).toEqual(failed);
    }
    expect(elsewhere.received).toHaveLength(0);
  });

  it('does not put its own text into the log', async () => {
    expect(JSON.stringify(await runAgainst(json(200, 'a secret of somebody')))).not.toContain('secret');
  });

  it('of exactly 10 MiB is taken', async () => {
    const outcome = await runAgainst(json(200, answerOf(MAX_ANSWER_BYTES)));
    expect(MAX_ANSWER_BYTES).toBe(10_485_760);
    expect(outcome.kind === 'ok' && outcome.dataJson.length).toBe(MAX_ANSWER_BYTES - '{"ok":true,"data":}'.length);
  });

  it('of one byte more than 10 MiB is UPSTREAM_FAILED', async () => {
    expect(await runAgainst(json(200, answerOf(MAX_ANSWER_BYTES + 1)))).toEqual(failed);
  });

  it('without an end is not downloaded for long', async () => {
    const chunk = Buffer.alloc(1024 * 1024, ' ');
    let closed: Promise<unknown> | undefined;
    const endless: Answer = (response) => {
      closed = once(response, 'close');
      const pour = (): void => {
        while (!response.destroyed && response.write(chunk)); // until the other side has had enough
      };
      response.on('drain', pour);
      pour();
    };
    expect(await runAgainst(endless)).toEqual(failed);
    await closed;
  });
});

describe("an upstream's errors", () => {
  const errorsOf = async (errors: { code: string; message: string }[]): Promise<{ code: string; message: string }[]> => {
    const outcome = await runAgainst(json(200, JSON.stringify({ ok: false, errors })));
    if (outcome.kind !== 'no') throw new Error(`It was ${outcome.kind}.`);
    return outcome.errors;
  };

  it('keep a code of the agreed form; any other becomes ACTION_FAILED', async () => {
    const codes = ['A', 'NO_FACE_2', 'A'.repeat(64), 'A'.repeat(65), '', 'no_face', '2FACES', '_A', 'NO-FACE', 'A\n'];
    const errors = await errorsOf(codes.map((code) => ({ code, message: 'm' })));
    expect(errors.map((error) => error.code)).toEqual([...codes.slice(0, 3), ...codes.slice(3).map(() => 'ACTION_FAILED')]);
  });

  it('keep a message of 1,000 characters and lose what is beyond', async () => {
    const errors = await errorsOf([{ code: 'A', message: 'm'.repeat(1000) }, { code: 'A', message: 'm'.repeat(1001) }]);
    expect(errors.map((error) => error.message)).toEqual(['m'.repeat(1000), 'm'.repeat(1000)]);
  });

  it('never end in half a character', async () => {
    const [fits, split] = await errorsOf([
      { code: 'A', message: `${'m'.repeat(998)}🙂🙂` },
      { code: 'A', message: `${'m'.repeat(999)}🙂` },
    ]);
    expect(fits?.message).toBe(`${'m'.repeat(998)}🙂`);
    expect(split?.message).toBe('m'.repeat(999));
  });

  it('hold no half surrogate pair, even where the upstream sent one', async () => {
    expect(await errorsOf([{ code: 'A', message: 'a\ud83d🙂\ude42' }])).toEqual([{ code: 'A', message: 'a\ufffd🙂\ufffd' }]);
  });

  it('are at most 100', async () => {
    const errors = await errorsOf(Array.from({ length: 150 }, (_, index) => ({ code: `E${index}`, message: '' })));
    expect(errors.map((error) => error.code)).toEqual(Array.from({ length: 100 }, (_, index) => `E${index}`));
  });
});
