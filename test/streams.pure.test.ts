import fc from 'fast-check';
import { Pace } from '../src/graphql/streams/pace';
import { Places, ownerOf } from '../src/graphql/streams/places';
import { COUNTS, SeenLogs, comesAfter, partOf, type LogPlace } from '../src/requests/seen-logs';

const place = fc.record({ at: fc.integer({ min: 0, max: 12_000 }), id: fc.string({ minLength: 1, maxLength: 3 }) });
const places = fc.uniqueArray(place, { selector: ({ id }) => id, maxLength: 60 });

describe('the logs that were told', () => {
  it('are counted part by part, whatever order they came in', () => {
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

describe('places', () => {
  it('are so many, so many for each, and come back once', () => {
    const limited = new Places({ most: 3, each: 2, what: 'things' });
    const giveBack = limited.take('one');
    limited.take('one');
    expect(() => limited.take('one')).toThrow('Too many things of yours are open');
    limited.take('two');
    expect(() => limited.take('three')).toThrow('Too many things are open');
    giveBack();
    giveBack();
    limited.take('three');
    expect(() => limited.take('four')).toThrow('Too many things are open');
  });

  it('are one allowance for all keys, service accounts and applications of a workspace, and for each person their own', () => {
    const made = { name: 'Made', workspaceId: 'ws_1', projectId: 'prj_1', permissions: [] };
    expect(ownerOf({ ...made, kind: 'API_KEY', id: 'key_1' })).toBe('ws_1');
    expect(ownerOf({ ...made, kind: 'SERVICE_ACCOUNT', id: 'svc_1', scopes: null })).toBe('ws_1');
    expect(ownerOf({ ...made, kind: 'OAUTH_CLIENT', id: 'con_1', tokenDigest: '' })).toBe('ws_1');
    expect(ownerOf({ kind: 'USER', id: 'usr_1', name: 'Ada', sessionId: 'ses_1', permissionsByWorkspace: new Map([['ws_1', []]]) })).toBe('usr_1');
    expect(ownerOf({ kind: 'OPERATOR', id: 'operator', name: 'Operator' })).toBe('operator');
  });
});

describe('the pace', () => {
  it('lets no more pass than it is for', async () => {
    const pace = new Pace(1_000);
    const started = performance.now();
    await Promise.all(Array.from({ length: 400 }, () => pace.turn()));
    expect(performance.now() - started).toBeGreaterThanOrEqual(340);
  });
});
