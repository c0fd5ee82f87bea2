// A client of a chat API that uses the official package `openai`, without any change for Tollgate. The package reads the variables
// OPENAI_BASE_URL and OPENAI_API_KEY.

import { randomUUID } from 'node:crypto';
import OpenAI, { APIError, RateLimitError } from 'openai';

// After 409, 429, 5xx or a lost connection the package tries again, by default twice. It waits as long as the header Retry-After says.
const client = new OpenAI({ maxRetries: Number(process.env.MAX_RETRIES ?? 2) });

const request = { model: 'parrot', messages: [{ role: 'user', content: 'Polly wants a cracker.' }] };
// A retry of the package has the same headers. So it is not billed again if only the answer of the first attempt was lost.
const once = () => ({ headers: { 'Idempotency-Key': randomUUID() } });

try {
  const { choices, usage } = await client.chat.completions.create(request, once());
  console.log(`Answer: ${choices[0].message.content} (${usage.total_tokens} tokens)`);

  const stream = await client.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } }, once());
  process.stdout.write('Stream: ');
  for await (const { choices, usage } of stream) {
    process.stdout.write(usage ? ` (${usage.total_tokens} tokens)\n` : (choices[0].delta.content ?? ''));
  }
} catch (error) {
  if (!(error instanceof APIError)) throw error;
  console.log(`${error.constructor.name}: ${error.status} ${error.code}`);
  console.log(`Message: ${error.message}`);
  if (error instanceof RateLimitError) console.log(`Retry after ${error.headers.get('retry-after')} s`);
  process.exitCode = 1;
}
