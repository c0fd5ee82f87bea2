import { getIntrospectionQuery, printSchema, buildClientSchema } from 'graphql';
import { createTestApp, type TestApp } from './support/app';
import { startCallers, tally, type Callers } from './support/callers';
import { buildKey, buildProject } from './support/factories';
import { ATTACKS, type Attack } from './support/graphql-attacks';
import { longestTurnOf, leastOf } from './support/processor-time';

// Known attacks on GraphQL servers. Each gets a clear error quickly, and the gate keeps answering calls.

let app: TestApp;
let callers: Callers;
let secret: string;
let projectId: string;
const { stackTraceLimit } = Error;

beforeAll(async () => {
  Error.stackTraceLimit = 10; // the default of Node: jest sets 100, which makes each error ten times as slow
  app = await createTestApp({ config: { graphqlBatching: true } });
  const project = await buildProject(app);
  projectId = project.id;
  secret = (await buildKey(app, { project })).secret;
  callers = startCallers(4);
});

afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit;
  return app.close();
});

/** Maximum processor time of one turn of the event loop. Includes the work of this test itself. */
const LONGEST_TURN_MS = 50;

interface Answer {
  status: number;
  text: string;
  codes: string[];
  tookMs: number;
}

async function attack({ query, variables, body, raw }: Attack, credential: string | null = app.rootKey): Promise<Answer> {
  const given = typeof variables === 'object' && query?.includes('$id: ID!, $ids') ? { id: projectId, ...variables } : variables;
  const started = performance.now();
  const response = await fetch(`${app.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(credential === null ? {} : { 'x-api-key': credential }) },
    body: raw ?? JSON.stringify(body ?? { query, variables: given }),
  });
  const text = await response.text();
  return { status: response.status, text, codes: codesOf(text), tookMs: performance.now() - started };
}

/** The error codes of all answers, or `ok` for an answer without errors. */
function codesOf(text: string): string[] {
  const answers = [JSON.parse(text) as unknown].flat() as { errors?: { extensions: { code: string } }[] }[];
  return [...new Set(answers.flatMap(({ errors }) => errors?.map(({ extensions }) => extensions.code) ?? ['ok']))];
}

const INSIDE = /node_modules|\bat .*\.(ts|js):|SELECT |SQLITE|ER_[A-Z]|RangeError|TypeError|call stack|Apollo/;

/** Maximum time of an attack: a multiple of a harmless operation, plus an allowance for other load on the machine. */
const SLOWEST = { times: 100, noiseMs: 2_000 };

it.each(ATTACKS)('$what: gets a clear error quickly, without internal details', async (one) => {
  const harmless = Math.min((await attack({ what: '', query: '{ workspaces { nodes { id } } }', codes: [] })).tookMs, 100);
  for (const credential of [app.rootKey, null]) {
    const { status, text, codes, tookMs } = await attack(one, credential);
    const allowed = credential === null ? [...one.codes, 'UNAUTHENTICATED', 'RATE_LIMITED'] : one.codes;
    expect({
      what: one.what,
      codes: codes.filter((code) => !allowed.includes(code)),
      text: codes.every((code) => allowed.includes(code)) ? '' : text.slice(0, 500),
    }).toEqual({ what: one.what, codes: [], text: '' });
    expect(status).toBeLessThan(500);
    expect(text).not.toMatch(INSIDE);
    expect(text.length).toBeLessThan(500_000);
    expect(tookMs).toBeLessThan(SLOWEST.times * harmless + SLOWEST.noiseMs);
  }
});

it('no attack takes more than 50 ms of processor time in one turn of the event loop', async () => {
  const long: [string, number][] = [];
  for (const one of ATTACKS) {
    const longestMs = await leastOf(3, LONGEST_TURN_MS, async () => (await longestTurnOf(() => attack(one))).longestMs);
    if (longestMs >= LONGEST_TURN_MS) long.push([one.what, longestMs]);
  }
  expect(long).toEqual([]);
});

it('an attack by GET gets the same codes as by POST, if it fits into an address', async () => {
  const short = ATTACKS.filter(
    ({ query, variables, raw, body }) =>
      query !== undefined &&
      raw === undefined &&
      body === undefined &&
      encodeURIComponent(query).length < 12_000 &&
      JSON.stringify(variables ?? {}).length < 1_000,
  );
  expect(short.length).toBeGreaterThan(20);
  for (const one of short.filter(({ query }) => !/^\s*(mutation|subscription)/.test(query ?? ''))) {
    const address = new URLSearchParams({
      query: one.query as string,
      ...(one.variables ? { variables: JSON.stringify(one.variables) } : {}),
    });
    const response = await fetch(`${app.url}/graphql?${address.toString()}`, { headers: { 'x-api-key': app.rootKey } });
    const text = await response.text();
    expect({
      what: one.what,
      status: response.status < 500,
      codes: codesOf(text).filter((code) => ![...one.codes, 'RATE_LIMITED'].includes(code)),
    }).toEqual({ what: one.what, status: true, codes: [] });
    expect(text).not.toMatch(INSIDE);
  }
});

it('the introspection query of clients is answered', async () => {
  const { text } = await attack(
    {
      what: '',
      query: getIntrospectionQuery({
        inputValueDeprecation: true,
        specifiedByUrl: true,
        schemaDescription: true,
        directiveIsRepeatable: true,
        oneOf: true,
      }),
      codes: [],
    },
    null,
  );
  const { data, errors } = JSON.parse(text) as { data: Parameters<typeof buildClientSchema>[0]; errors?: unknown };
  expect(errors).toBeUndefined();
  expect(printSchema(buildClientSchema(data))).toContain('type Query');
});

it('calls are answered within a bounded time during the attacks', async () => {
  const measure = async (during: () => boolean): Promise<number[]> => {
    const tookMs: number[] = [];
    const answers = [];
    do {
      const started = performance.now();
      answers.push(await callers.call({ url: app.url, secret }));
      tookMs.push(performance.now() - started);
    } while (during());
    expect(tally(answers)).toEqual({ 200: answers.length });
    return tookMs.sort((x, y) => x - y);
  };
  let calls = 0;
  const alone = await measure(() => (calls += 1) < 100);
  const attacks = { over: false, tookMs: 0, slowest: '' };
  const attacking = (async () => {
    for (let round = 0; round < 2; round++) {
      await Promise.all([0, 1].map(async (half) => {
        for (const [index, one] of ATTACKS.entries()) {
          if (index % 2 !== half) continue;
          const { tookMs } = await attack(one, index % 3 === 0 ? null : app.rootKey);
          if (tookMs > attacks.tookMs) Object.assign(attacks, { tookMs, slowest: one.what });
        }
      }));
    }
    attacks.over = true;
  })();
  const meanwhile = await measure(() => !attacks.over);
  await attacking;
  const at = (list: number[], share: number): string => (list[Math.floor((list.length - 1) * share)] as number).toFixed(1);
  process.stdout.write(
    `a call alone: ${at(alone, 0.5)} ms, p99 ${at(alone, 0.99)} ms; ` +
      `during attacks: ${at(meanwhile, 0.5)} ms, p99 ${at(meanwhile, 0.99)} ms of ${meanwhile.length}; ` +
      `the slowest attack, ${attacks.slowest}: ${attacks.tookMs.toFixed(0)} ms\n`,
  );
  expect(meanwhile.length).toBeGreaterThan(20);
  expect(Number(at(meanwhile, 0.99))).toBeLessThan(Number(at(alone, 0.99)) * 10 + 1_500);
});
