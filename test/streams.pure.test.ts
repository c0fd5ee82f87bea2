import fc from 'fast-check';
import { Pace } from '../src/graphql-server/streams/pace';
import { COUNTS, SeenLogs, comesAfter, partOf, type LogPlace } from '../src/requests/seen-logs';

const place = fc.record({ at: fc.integer({ min: 0, max: 12_000 }), id: fc.string({ minLength: 1, maxLength: 3 }) });
const places = fc.uniqueArray(place, { selector: ({ id }) => id, maxLength: 60 });

describe('the logs that were sent', () => {
  it('are counted per part, independently of their order', () => {
    fc.assert(
      fc.property(places, fc.integer({ min: 0, max: 12_000 }), (told, since) => {
        const seen = new SeenLogs();
        for (const one of told) seen.add(one);
        seen.forgetBefore(since);
        const kept = told.filter(({ at }) => at >= since);
        const newest = kept.reduce<LogPlace>((last, one) => (comesAfter(one, last) ? one : last), { at: 0, id: '' });
        const counts = new Array<number>(COUNTS).fill(0);
        for (const one of kept) counts[partOf(newest, one)] = (counts[partOf(newest, one)] ?? 0) + 1;
        expect(seen.counts(newest)).toEqual(counts);
        for (const one of told) expect(seen.has(one)).toBe(one.at >= since);
      }),
    );
  });
});

describe('the pace', () => {
  it('lets no more callers pass than its rate allows', async () => {
    const pace = new Pace(1_000);
    const started = performance.now();
    await Promise.all(Array.from({ length: 400 }, () => pace.turn()));
    expect(performance.now() - started).toBeGreaterThanOrEqual(340);
  });
});
