import { fileURLToPath } from 'node:url';

export const API_FILE = fileURLToPath(new URL('api.mjs', import.meta.url));

/** The route of a chat API, with prices for a million input and output tokens. */
export const chatRoute = (upstreamUrl) => ({
  action: {
    service: 'chat',
    name: 'chat.complete',
    permission: 'chat.complete',
    priceMicroCredits: 0,
    unitPrices: [
      { unit: 'input_tokens', microCredits: 150_000, per: 1_000_000 },
      { unit: 'output_tokens', microCredits: 600_000, per: 1_000_000 },
    ],
    maxChargeMicroCredits: 50_000, // reserved while the call runs
  },
  route: {
    methods: ['POST'],
    path: '/v1/chat/completions',
    upstreamUrl,
    usage: [
      { unit: 'input_tokens', pointer: '/usage/prompt_tokens' },
      { unit: 'output_tokens', pointer: '/usage/completion_tokens' },
    ],
    replayable: true, // a request with an Idempotency-Key runs once, and a repeat gets the same answer
  },
});
