import { serve } from './route.js';

// A Fastify route that only parses the body and answers: no key, no budget, no database. It is the upper limit for the gate's speed.

const STATUS_WANTED: Record<string, 401 | 429> = { 401: 401, 429: 429 };

void serve({
  decide: (_secret, { answer }) => {
    const refused = answer === undefined ? undefined : STATUS_WANTED[answer];
    return refused === undefined ? { budgetAvailableMicroCredits: 1_000_000_000 } : { refused };
  },
});
