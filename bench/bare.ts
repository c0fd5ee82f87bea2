import { serve } from './route.js';

// A Fastify route that parses the body and answers: no key, no budget, no database. What is left to be won, at most.

const STATUS_WANTED: Record<string, 401 | 429> = { 401: 401, 429: 429 };

void serve({
  decide: (_secret, { answer }) => {
    const refused = answer === undefined ? undefined : STATUS_WANTED[answer];
    return refused === undefined ? { budgetAvailableMicroCredits: 1_000_000_000 } : { refused };
  },
});
