import OpenAI from 'openai';
import { graphqlClient } from './support/clients';
import { startExample, type Example } from './support/example';
import { mutations } from './support/mutate';
import { startApi } from './support/routes';
import { until } from './support/until';
import { itWith } from './support/walkthrough';

// Starts each example with its command, and runs the commands that it prints. Examples have their own SQLite database.

jest.setTimeout(60_000);
const test = itWith('curl');

/** What the budget has left, and the calls in their order: action, outcome, status, charge and usage. */
function billsOf(example: Example) {
  const { project } = JSON.parse(example.run('See the bills')).data;
  const calls = project.requestLogs.nodes.reverse().map((log: Record<string, unknown>) => {
    const usage = (log.usage as { unit: string; quantity: number }[]).map(({ unit, quantity }) => `${quantity} ${unit}`);
    return [log.action, log.outcome, log.httpStatus, log.chargedMicroCredits, ...usage];
  });
  return { available: project.budget.available, calls };
}

const ENDED = { code: 0, processesLeft: false, filesLeft: [] };

test('examples/existing-api bills a call and its faces, but no upload and no error', async () => {
  const example = await startExample('existing-api');
  expect(example.run('Upload')).toBe('{"image_id":"img_1","bytes":5000000}');
  expect(JSON.parse(example.run('Detect its faces')).faces).toHaveLength(3);
  expect(JSON.parse(example.run('Blur'))).toMatchObject({ blurred_faces: 3 });
  expect(JSON.parse(example.run('Name an image that does not exist'))).toEqual({ error: expect.any(String) });
  expect(billsOf(example)).toEqual({
    available: 98_250_000,
    calls: [
      ['images.upload', 'SUCCEEDED', 201, 0],
      ['images.detect', 'SUCCEEDED', 200, 1_000_000],
      ['images.blur', 'SUCCEEDED', 200, 750_000, '3 faces'],
      ['images.detect', 'FAILED', 404, 0],
    ],
  });
  expect(await example.interrupt()).toEqual(ENDED);
});

test('examples/chat-api streams, and bills the tokens of each answer, even if the caller does not ask for its usage', async () => {
  const example = await startExample('chat-api');
  expect(JSON.parse(example.run('Ask for an answer')).choices[0].message.content).toBe('To be, or not to be, that is the question.');
  const events = example.run('Ask for a stream').trim().split('\n\n');
  expect(events.at(-1)).toBe('data: [DONE]');
  expect(JSON.parse((events.at(-2) as string).slice('data: '.length))).toMatchObject({ choices: [], usage: { completion_tokens: 10 } });

  const headers = { authorization: `Bearer ${example.find(/Bearer (\w+)'/)}` };
  const body = JSON.stringify({ stream: true, messages: [{ content: Array(40).fill('word').join(' ') }] });
  const answer = await fetch(example.find(/(http:\S+completions)/), { method: 'POST', headers, body });
  const chunks: string[] = [];
  for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) chunks.push(Buffer.from(chunk).toString());
  expect(chunks[0]).toContain('word');
  expect(chunks[0]).not.toContain('[DONE]'); // words arrive while the API still works on the others

  const asked = ['chat.complete', 'SUCCEEDED', 200, 9, '15 input_tokens', '10 output_tokens'];
  const notAsked = ['chat.complete', 'SUCCEEDED', 200, 30, '40 input_tokens', '40 output_tokens'];
  expect(billsOf(example)).toEqual({ available: 1_000_000 - 9 - 9 - 30, calls: [asked, asked, notAsked] });
  expect(await example.interrupt()).toEqual(ENDED);
});

describe('examples/openai-client', () => {
  let example: Example;
  const client = (options: Partial<ConstructorParameters<typeof OpenAI>[0]> = {}) =>
    new OpenAI({ baseURL: example.find(/OPENAI_BASE_URL=(\S+)/), apiKey: example.find(/OPENAI_API_KEY=(\S+)/), ...options });
  const request = { model: 'parrot', messages: [{ role: 'user' as const, content: 'again' }] };

  /** Puts another API behind the example's route. */
  async function replaceApi() {
    const api = await startApi();
    const graphql = graphqlClient(example.find(/ (http:\S+)\/graphql/), example.find(/(root_\w+)/));
    const { data } = await graphql('{ routes(first: 1) { nodes { id } } }');
    await mutations({ graphql }).mutate('updateRoute', { id: data.routes.nodes[0].id, upstreamUrl: api.url }, 'route { id }');
    return api;
  }

  beforeAll(async () => {
    example = await startExample('openai-client');
  });

  test('gives the official package an answer, a stream and its own errors', () => {
    expect(example.run('Get an answer')).toBe('Answer: Polly wants a cracker. (8 tokens)\nStream: Polly wants a cracker. (8 tokens)\n');
    expect(example.run('Use a wrong key')).toMatch(/^AuthenticationError: 401 INVALID_API_KEY\nMessage: 401 This API key/);
    expect(example.run('Use a key whose project')).toMatch(/^APIError: 402 PAYMENT_REQUIRED\nMessage: 402 There is not enough credit/);
    expect(example.run('Use a key of a project that')).toContain('Stream: Polly wants a cracker. (8 tokens)\n');
    expect(example.run('The same without')).toMatch(/RateLimitError: 429 RATE_LIMITED\nMessage: 429 .*\nRetry after [12] s\n$/);
    const call = ['chat.complete', 'SUCCEEDED', 200, 3, '4 input_tokens', '4 output_tokens'];
    expect(billsOf(example)).toEqual({ available: 1_000_000 - 6, calls: [call, call] });
  });

  test('bills only the success if the package tries again after a 503 of the API', async () => {
    const api = await replaceApi();
    api.handle = (_request, response) => {
      if (api.requests.length === 1) response.writeHead(503).end();
      else response.setHeader('content-type', 'application/json').end('{"choices":[],"usage":{"prompt_tokens":1000}}');
    };
    const { available } = billsOf(example);
    await client().chat.completions.create(request);
    expect(billsOf(example)).toEqual({
      available: available - 150,
      calls: expect.arrayContaining([
        ['chat.complete', 'FAILED', 503, 0],
        ['chat.complete', 'SUCCEEDED', 200, 150, '1000 input_tokens'],
      ]),
    });
  });

  test('runs and bills a call once if the package tries again after its own time limit', async () => {
    const api = await replaceApi();
    let attempts = 0;
    const counted: typeof fetch = (url, init) => {
      attempts += 1;
      return fetch(url, init);
    };
    api.handle = (_request, response) =>
      void until(() => attempts === 2, 'a second attempt').then(() =>
        response.setHeader('content-type', 'application/json').end('{"id":"first","choices":[],"usage":{"prompt_tokens":2000}}'),
      );
    const { available } = billsOf(example);
    const options = { headers: { 'Idempotency-Key': 'order-7' }, timeout: 500, maxRetries: 5 };
    const { id } = await client({ fetch: counted }).chat.completions.create(request, options);
    expect([id, api.requests.length]).toEqual(['first', 1]);
    expect(attempts).toBeGreaterThan(1);
    expect(billsOf(example).available).toBe(available - 300);
  });

  test('ends with Ctrl-C', async () => {
    expect(await example.interrupt()).toEqual(ENDED);
  });
});
