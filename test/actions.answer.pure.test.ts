import { once } from 'node:events';
import { MAX_ANSWER_BYTES } from '../src/actions/http-runner';
import { NO, ODD_JSON, OK, json, startRawUpstream, type Answer } from './support/raw-upstream';
import { failed, useRunner } from './support/runner';

const { runAgainst } = useRunner();

/** Makes an answer of exactly `bytes` bytes. */
function answerOf(bytes: number): string {
  const [head, tail] = ['{"ok":true,"data":{"text":"', '"}}'];
  return head + 'a'.repeat(bytes - head.length - tail.length) + tail;
}

describe('an answer of an upstream', () => {
  it('with a 2xx status and ok succeeds with its data', async () => {
    expect(await runAgainst(json(201, OK))).toEqual({ kind: 'ok', dataJson: '{"face":1}' });
  });

  it('keeps a key named __proto__ unchanged', async () => {
    const outcome = await runAgainst(json(200, '{"ok":true,"data":{"__proto__":{"a":1}}}'));
    expect(outcome).toEqual({ kind: 'ok', dataJson: '{"__proto__":{"a":1}}' });
  });

  it.each([
    ['unusual numbers and texts', ODD_JSON],
    ['deeply nested lists', `{"a":${'['.repeat(90_000)}${']'.repeat(90_000)}}`],
  ])('keeps the text of its data unchanged: %s', async (_case, dataJson) => {
    expect(await runAgainst(json(200, `{ "data" : ${dataJson} , "ok" : true }`))).toEqual({ kind: 'ok', dataJson });
  });

  it.each([200, 400, 404, 429])('with the status %i and `ok: false` is a refusal by the action', async (status) => {
    const errors = [{ code: 'NO_FACE_DETECTED', message: 'There is no face.' }];
    expect(await runAgainst(json(status, NO))).toEqual({ kind: 'no', errors });
  });

  it.each([
    ['4xx in another form', 401, '{"error":"unauthorized"}'],
    ['4xx with `ok: true`', 404, OK],
    ['4xx that is not JSON', 404, '<h1>Not found</h1>'],
    ['5xx, even with `ok: false`', 500, NO],
    ['5xx, even with `ok: true`', 503, OK],
    ['3xx, even with `ok: true`', 300, OK],
    ['304', 304, ''],
    ['2xx without a body', 204, ''],
    ['2xx that is not JSON', 200, 'ok'],
    ['incomplete JSON', 200, OK.slice(0, -1)],
    ['JSON that is not an object', 200, '[]'],
    ['JSON in another form', 200, '{"data":{}}'],
    ['`ok` that is not a boolean', 200, '{"ok":"true","data":{}}'],
    ['`ok: true` without data', 200, '{"ok":true}'],
    ['`ok: true` and null as data', 200, '{"ok":true,"data":null}'],
    ['`ok: true` and a list as data', 200, '{"ok":true,"data":[]}'],
    ['two members named `ok`', 200, '{"ok":false,"ok":true,"data":{}}'],
    ['data with two members of the same name', 200, '{"ok":true,"data":{"a":[{"b":1,"\\u0062":2}]}}'],
    ['`ok: false` and two members of the same name', 200, NO.replace('{"ok"', '{"a":{"b":1,"b":1},"ok"')],
    ['`ok: false` without errors', 200, '{"ok":false}'],
    ['`ok: false` and an empty list of errors', 200, '{"ok":false,"errors":[]}'],
    ['`ok: false` and an error without a message', 200, '{"ok":false,"errors":[{"code":"A"}]}'],
  ])('is UPSTREAM_FAILED if it is: %s', async (_case, status, body) => {
    expect(await runAgainst(json(status, body))).toEqual(failed);
  });

  it('that is not UTF-8 is UPSTREAM_FAILED', async () => {
    const body = Buffer.concat([Buffer.from('{"ok":true,"data":{"a":"'), Buffer.from([0xff]), Buffer.from('"}}')]);
    expect(await runAgainst((response) => response.end(body))).toEqual(failed);
  });

  it('with a Content-Encoding is UPSTREAM_FAILED', async () => {
    expect(await runAgainst((response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(OK))).toEqual(failed);
  });

  it('that redirects is UPSTREAM_FAILED, and the redirect is not followed', async () => {
    const elsewhere = await startRawUpstream(json(200, OK));
    for (const status of [301, 302, 303, 307, 308]) {
      expect(await runAgainst((response) => response.writeHead(status, { location: elsewhere.url }).end(OK))).toEqual(failed);
    }
    expect(elsewhere.received).toHaveLength(0);
  });

  it('that is not JSON does not get into the log', async () => {
    expect(JSON.stringify(await runAgainst(json(200, 'a secret of somebody')))).not.toContain('secret');
  });

  it('of exactly 10 MiB is accepted', async () => {
    const outcome = await runAgainst(json(200, answerOf(MAX_ANSWER_BYTES)));
    expect(MAX_ANSWER_BYTES).toBe(10_485_760);
    expect(outcome.kind === 'ok' && outcome.dataJson.length).toBe(MAX_ANSWER_BYTES - '{"ok":true,"data":}'.length);
  });

  it('of one byte more than 10 MiB is UPSTREAM_FAILED', async () => {
    expect(await runAgainst(json(200, answerOf(MAX_ANSWER_BYTES + 1)))).toEqual(failed);
  });

  it('that never ends is UPSTREAM_FAILED, and its connection is closed', async () => {
    const chunk = Buffer.alloc(1024 * 1024, ' ');
    let closed: Promise<unknown> | undefined;
    const endless: Answer = (response) => {
      closed = once(response, 'close');
      const pour = (): void => {
        while (!response.destroyed && response.write(chunk)); // until the runner closes the connection
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

  it('keep a code in the required form; any other code becomes ACTION_FAILED', async () => {
    const codes = ['A', 'NO_FACE_2', 'A'.repeat(64), 'A'.repeat(65), '', 'no_face', '2FACES', '_A', 'NO-FACE', 'A\n'];
    const errors = await errorsOf(codes.map((code) => ({ code, message: 'm' })));
    expect(errors.map((error) => error.code)).toEqual([...codes.slice(0, 3), ...codes.slice(3).map(() => 'ACTION_FAILED')]);
  });

  it('keep the first 1,000 characters of a message', async () => {
    const errors = await errorsOf([{ code: 'A', message: 'm'.repeat(1000) }, { code: 'A', message: 'm'.repeat(1001) }]);
    expect(errors.map((error) => error.message)).toEqual(['m'.repeat(1000), 'm'.repeat(1000)]);
  });

  it('are not cut inside a surrogate pair', async () => {
    const [fits, split] = await errorsOf([
      { code: 'A', message: `${'m'.repeat(998)}🙂🙂` },
      { code: 'A', message: `${'m'.repeat(999)}🙂` },
    ]);
    expect(fits?.message).toBe(`${'m'.repeat(998)}🙂`);
    expect(split?.message).toBe('m'.repeat(999));
  });

  it('have U+FFFD in place of half a surrogate pair that the upstream sent', async () => {
    expect(await errorsOf([{ code: 'A', message: 'a\ud83d🙂\ude42' }])).toEqual([{ code: 'A', message: 'a\ufffd🙂\ufffd' }]);
  });

  it('are cut to the first 100', async () => {
    const errors = await errorsOf(Array.from({ length: 150 }, (_, index) => ({ code: `E${index}`, message: '' })));
    expect(errors.map((error) => error.code)).toEqual(Array.from({ length: 100 }, (_, index) => `E${index}`));
  });
});
