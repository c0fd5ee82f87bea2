import { ATTACKS } from './attacks/all';
import {
  MAX_GROWTH_BYTES,
  MAX_NEIGHBOUR_MS,
  MAX_NEIGHBOUR_P99_MS,
  MAX_STALL_MS,
  measure,
  reportOf,
  tableOf,
  verdictOf,
  type Measured,
} from './attacks/report';

// `npm run attack` takes minutes. These tests prove that it judges its measurements correctly.

const WITHSTOOD: Measured = {
  name: 'graphql.nested',
  what: 'nested lists',
  seconds: 5,
  stallMs: MAX_STALL_MS,
  rssBytes: 2 * MAX_GROWTH_BYTES,
  growthBytes: MAX_GROWTH_BYTES,
  neighbour: { calls: 400, p50Ms: 5, p99Ms: MAX_NEIGHBOUR_P99_MS, maxMs: MAX_NEIGHBOUR_MS, failures: {} },
  broken: [],
};

const BREACHES: { bound: string; measured: Partial<Measured>; sentence: RegExp }[] = [
  { bound: 'the event loop', measured: { stallMs: MAX_STALL_MS + 1 }, sentence: /event loop stalled 251 ms/ },
  { bound: 'the memory', measured: { growthBytes: MAX_GROWTH_BYTES * 2 }, sentence: /memory grew by 512 MiB/ },
  {
    bound: "the neighbour's p99",
    measured: { neighbour: { ...WITHSTOOD.neighbour, p99Ms: MAX_NEIGHBOUR_P99_MS + 1 } },
    sentence: /p99 501 ms/,
  },
  {
    bound: "the neighbour's slowest call",
    measured: { neighbour: { ...WITHSTOOD.neighbour, maxMs: MAX_NEIGHBOUR_MS + 1 } },
    sentence: /slowest call 1001 ms/,
  },
  {
    bound: "the neighbour's refusals",
    measured: { neighbour: { ...WITHSTOOD.neighbour, failures: { 'execute 503': 2 } } },
    sentence: /refused 2 times: execute 503/,
  },
  { bound: 'a promise of the attack itself', measured: { broken: ['the owner was refused'] }, sentence: /the owner was refused/ },
];

it('finds nothing wrong with an attack that stays within every bound', () => {
  expect(verdictOf(WITHSTOOD)).toEqual([]);
  expect(tableOf([WITHSTOOD])).toContain('| withstood |');
  expect(reportOf('npm run attack', [WITHSTOOD], new Date(0))).toContain('Every attack was withstood.');
});

it.each(BREACHES)('reports an attack that breaks the bound of $bound', ({ measured, sentence }) => {
  const breach = { ...WITHSTOOD, ...measured };
  expect(verdictOf(breach)).toEqual([expect.stringMatching(sentence)]);
  expect(tableOf([breach])).toMatch(/\| BROKEN +\|/);
  expect(reportOf('npm run attack', [WITHSTOOD, breach], new Date(0))).toMatch(sentence);
});

it('measures the longest stall, and the growth of memory up to its peak', () => {
  const sample = { at: 0, stallMs: 3, rssBytes: 200, peakRssBytes: 250 };
  const round = { name: 'a', what: 'a', seconds: 1, broken: [], experience: { tookMs: [1, 2, 900], failures: {} } };
  const risen = measure({ ...round, samples: [sample, { ...sample, stallMs: 40, peakRssBytes: 700 }, { ...sample, peakRssBytes: 700 }] });
  expect(risen).toMatchObject({ stallMs: 40, rssBytes: 700, growthBytes: 500, neighbour: { calls: 3, p50Ms: 2, maxMs: 900 } });
  const calm = measure({ ...round, samples: [sample, { ...sample, rssBytes: 230 }] });
  expect(calm).toMatchObject({ rssBytes: 230, growthBytes: 30 }); // the peak of 250 was before
});

it('gives each attack a unique name', () => {
  expect(new Set(ATTACKS.map(({ name }) => name)).size).toBe(ATTACKS.length);
});
