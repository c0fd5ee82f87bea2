// A chat API in the form of OpenAI. Its model repeats the last message. It knows nothing of Tollgate.

import { createServer } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

/** The time that the model takes for each word. */
const WORD_MS = 20;

async function handle(request, response) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk;
  if (request.url !== '/v1/chat/completions') return response.writeHead(404).end();
  const { model, messages, stream, stream_options: streamOptions } = JSON.parse(text);

  const words = messages.at(-1).content.split(' '); // stand for tokens
  const prompt = messages.reduce((sum, { content }) => sum + content.split(' ').length, 0);
  const usage = { prompt_tokens: prompt, completion_tokens: words.length, total_tokens: prompt + words.length };
  const head = { id: 'chatcmpl-1', created: Math.floor(Date.now() / 1_000), model };

  if (!stream) {
    await wait(words.length * WORD_MS);
    const choices = [{ index: 0, message: { role: 'assistant', content: words.join(' ') }, finish_reason: 'stop' }];
    response.writeHead(200, { 'content-type': 'application/json' });
    return response.end(JSON.stringify({ ...head, object: 'chat.completion', choices, usage }));
  }

  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (event) => response.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', ...event })}\n\n`);
  for (const [at, word] of words.entries()) {
    await wait(WORD_MS);
    send({ choices: [{ index: 0, delta: { content: at === 0 ? word : ` ${word}` }, finish_reason: null }] });
  }
  // Each stream reports its usage. With include_usage it is in a separate event, as OpenAI has it. Otherwise it is in the last event with a
  // choice, and clients ignore it.
  const end = [{ index: 0, delta: {}, finish_reason: 'stop' }];
  if (streamOptions?.include_usage) {
    send({ choices: end });
    send({ choices: [], usage });
  } else {
    send({ choices: end, usage });
  }
  response.end('data: [DONE]\n\n');
}

const server = createServer((request, response) => {
  handle(request, response).catch(() => response.writeHead(400).end()); // its body is not complete, or not in the form of OpenAI
});

server.listen(Number(process.env.PORT ?? 8090), '127.0.0.1', () => {
  console.log(`The API is listening on http://127.0.0.1:${server.address().port}`);
});
