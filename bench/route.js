// @ts-check
// The route that the servers compared with the gate serve: the same request, and an answer with the same body and number of headers.

const Fastify = require('fastify').default;

const REQUEST_ID = '01999999-9999-7999-8999-999999999999';
const PRICE_MICRO_CREDITS = 1_000;

/** @typedef {{ budgetAvailableMicroCredits: number } | { refused: 401 | 402 | 429 }} Decision */

/**
 * The headers and the body of each status. The gate sends the same ones for a project with a known rate limit.
 * @type {Record<200 | 401 | 402 | 429, { headers: Record<string, string>, body: string }>}
 */
const ANSWERS = {
  200: { headers: { 'ratelimit-policy': '"project";q=1000000;w=1', ratelimit: '"project";r=999999;t=1' }, body: '' },
  401: {
    headers: { 'www-authenticate': 'Bearer realm="tollgate", error="invalid_token"' },
    body: refusal('UNAUTHORIZED', 'INVALID_API_KEY', {}),
  },
  402: {
    headers: { 'ratelimit-policy': '"project";q=1000000;w=1', ratelimit: '"project";r=999999;t=1' },
    body: refusal('PAYMENT_REQUIRED', 'PAYMENT_REQUIRED', { price_micro_credits: 1000, available_micro_credits: 0 }),
  },
  429: {
    headers: { 'ratelimit-policy': '"project";q=1;w=1000', ratelimit: '"project";r=0;t=900', 'retry-after': '900' },
    body: refusal('RATE_LIMITED', 'RATE_LIMITED', { retry_after_ms: 900_000, violated_policies: ['project'] }),
  },
};

/**
 * @param {string} status
 * @param {string} code
 * @param {object} details
 */
function refusal(status, code, details) {
  const error = { status, code, message: 'This API key is unknown, or has been called too often; the text is as long as ours.', details };
  return JSON.stringify({ ok: false, success: false, requestId: REQUEST_ID, error });
}

/**
 * @param {import('fastify').FastifyReply} reply
 * @param {{ action: string, params: object }} body
 * @param {Decision} decision
 */
function answer(reply, body, decision) {
  const status = 'refused' in decision ? decision.refused : 200;
  const { headers, body: refused } = ANSWERS[status];
  void reply.code(status).headers(headers);
  void reply
    .header('cache-control', 'no-store')
    .header('x-request-id', REQUEST_ID)
    .header('content-type', 'application/json; charset=utf-8');
  if ('refused' in decision) return reply.send(refused);
  const billing = { chargedMicroCredits: PRICE_MICRO_CREDITS, budgetAvailableMicroCredits: decision.budgetAvailableMicroCredits };
  const { action, params } = body;
  return reply.send(JSON.stringify({ ok: true, success: true, requestId: REQUEST_ID, action, data: params, errors: [], billing }));
}

/**
 * Serves the route on a free port of the loopback address, prints the secret if it has one, then its URL. Ends on SIGTERM.
 * @param {object} rival
 * @param {string} [rival.secret]
 * @param {(secret: string, query: Record<string, string>) => Promise<Decision> | Decision} rival.decide
 */
async function serve({ secret, decide }) {
  const app = Fastify();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  app.post('/v1/:service/execute', async (request, reply) => {
    const body = JSON.parse(/** @type {Buffer} */ (request.body).toString());
    const decided = decide(String(request.headers['x-api-key']), /** @type {Record<string, string>} */ (request.query));
    return answer(reply, body, decided instanceof Promise ? await decided : decided);
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  process.once('SIGTERM', () => process.exit(0));
  const { port } = /** @type {import("node:net").AddressInfo} */ (app.server.address());
  console.log(`${secret === undefined ? '' : `key ${secret}\n`}listening on http://127.0.0.1:${port}`);
}

module.exports = { serve, PRICE_MICRO_CREDITS };
