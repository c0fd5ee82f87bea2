// better-auth with its API-key plugin behind the same route: the alternative that a TypeScript team would choose. It looks the key up,
// decrements `remaining` and counts the rate, each in the database. It keeps no request log, no ledger and no answers for repeats.

import { apiKey } from '@better-auth/api-key';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { createPool } from 'mysql2/promise';
import route from '../route.js';

const PLENTY = 1_000_000_000; // fits the plugin's 32-bit column
const DAY_MS = 24 * 60 * 60 * 1000;

const options = {
  database: createPool({ uri: process.env.DATABASE_URL, timezone: 'Z', connectionLimit: 10 }),
  secret: process.env.BETTER_AUTH_SECRET,
  baseURL: 'http://127.0.0.1',
  emailAndPassword: { enabled: true },
  telemetry: { enabled: false },
  plugins: [apiKey({ rateLimit: { enabled: true, timeWindow: DAY_MS, maxRequests: PLENTY } })],
};

const { runMigrations } = await getMigrations(options);
await runMigrations();
const auth = betterAuth(options);
const { user } = await auth.api.signUpEmail({ body: { name: 'Bench', email: 'bench@example.com', password: 'only-for-this-bench' } });
const { key } = await auth.api.createApiKey({ body: { userId: user.id, remaining: PLENTY } });
await route.serve({
  secret: key,
  decide: async (secret) => {
    const { valid, key: row, error } = await auth.api.verifyApiKey({ body: { key: secret } });
    return valid ? { budgetAvailableMicroCredits: row.remaining } : { refused: error.code === 'RATE_LIMITED' ? 429 : 401 };
  },
});
