import type { TestApp } from './app';
import type { RestAnswer } from './clients';

/** Posts JSON to a route, with the credential of a server that asks. */
export async function post(url: string, path: string, secret: string | undefined, body: unknown): Promise<RestAnswer> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }) },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as unknown };
}

/** An action that no upstream runs: only verifications reach it. It costs 100 micro-credits, and 10 for each face, at most 500. */
export async function buildVisionAction(app: TestApp): Promise<void> {
  const input = {
    service: 'vision',
    name: 'detect',
    permission: 'vision.detect',
    priceMicroCredits: 100,
    unitPrices: [{ unit: 'faces', microCredits: 10, per: 1 }],
    maxChargeMicroCredits: 500,
  };
  const query = 'mutation ($input: CreateActionInput!) { createAction(input: $input) { action { id } } }';
  const { errors } = await app.graphql(query, { input });
  if (errors) throw new Error(JSON.stringify(errors));
}

export const VISION = { service: 'vision', action: 'detect' };
