import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { SealedEvent, TrailEntry, TrailRequest } from '../src/audit/trail';
import { lineOf } from '../src/rest/exports/audit.lines';
import { trailLines, type TrailLines } from '../src/rest/exports/audit.route';
import { OCSF_DEEDS } from '../src/rest/exports/ocsf';
import { exportStream, type ExportStream } from '../src/rest/exports/stream';

// Tests how an export reads its trail. There is no database: the trail is endless.

beforeEach(() => jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask'] }));
afterEach(() => jest.useRealTimers());

function endless({ mayRead = async () => true, ...values }: Partial<Pick<ExportStream, 'mayRead'> & TrailLines> = {}) {
  const requests: TrailRequest[] = [];
  const read = async (request: TrailRequest): Promise<SealedEvent[]> => {
    requests.push(request);
    return Array.from({ length: request.limit }, (_, index) => ({ position: request.after + index + 1 }) as SealedEvent);
  };
  const stop = new AbortController();
  const lineOf = ({ position }: TrailEntry) => `${position}\n`;
  const chunks = (signal: AbortSignal) => trailLines({ read, lineOf, chainId: undefined, after: 0, follow: false, ...values }, signal);
  const stream = exportStream({ chunks, mayRead, stop: stop.signal });
  const reader = stream[Symbol.asyncIterator]() as AsyncIterator<string>;
  return { stream, reader, requests, stop };
}

it('reads a page only after the reader took the previous one, so that a slow reader costs the memory of one page', async () => {
  const { stream, reader, requests } = endless();
  for (let line = 1; line <= 1_200; line += 1) expect((await reader.next()).value).toBe(`${line}\n`);
  await wait(50);
  expect(requests.map(({ after }) => after)).toEqual([0, 500, 1_000]);
  stream.destroy();
});

/** Counts the remaining lines before a clean end. */
async function rest(reader: AsyncIterator<string>): Promise<number> {
  let lines = 0;
  while (!(await reader.next()).done) lines += 1;
  return lines;
}

it('ends between two lines when it follows and is stopped', async () => {
  const { reader, stop } = endless({ follow: true });
  expect((await reader.next()).value).toBe('1\n');
  stop.abort();
  expect(await rest(reader)).toBeLessThan(5); // lines that were already in buffers
});

it('breaks off if it is stopped and does not follow, because a clean end would mean that it is complete', async () => {
  const { reader, stop } = endless();
  expect((await reader.next()).value).toBe('1\n');
  stop.abort();
  await expect(rest(reader)).rejects.toThrow(/abort/i);
});

it('ends a moment after the permission is lost, also in the middle of a page', async () => {
  let allowed = true;
  const { reader } = endless({ follow: true, mayRead: async () => allowed });
  expect((await reader.next()).value).toBe('1\n');
  allowed = false;
  await jest.advanceTimersByTimeAsync(1_500);
  expect(await rest(reader)).toBeLessThan(5);
});

describe('a reader that takes nothing', () => {
  it('is cut off soon after its permission is lost', async () => {
    let allowed = true;
    const { stream, reader } = endless({ mayRead: async () => allowed });
    await reader.next();
    await jest.advanceTimersByTimeAsync(10_000);
    expect(stream.destroyed).toBe(false);
    allowed = false;
    await jest.advanceTimersByTimeAsync(2_000);
    expect(stream.destroyed).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('is cut off after a minute even if it still has the permission, but not if it takes a line now and then', async () => {
    const { stream, reader } = endless();
    for (let turn = 1; turn <= 3; turn += 1) {
      await reader.next();
      await jest.advanceTimersByTimeAsync(50_000);
    }
    expect(stream.destroyed).toBe(false);
    await jest.advanceTimersByTimeAsync(11_000);
    expect(stream.destroyed).toBe(true);
    expect(jest.getTimerCount()).toBe(0);
  });

  it('is not cut off while no line waits for it', async () => {
    const { stream, reader } = endless({ read: async () => [], follow: true });
    await reader.next();
    await jest.advanceTimersByTimeAsync(5_000);
    expect(stream.destroyed).toBe(false);
    stream.destroy();
  });

  it('is cut off if its permission cannot be checked', async () => {
    const { stream, reader } = endless({ mayRead: () => Promise.reject(new Error('no database')) });
    await reader.next();
    stream.once('error', () => undefined);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(stream.destroyed).toBe(true);
  });
});

const EVENT: SealedEvent = {
  position: 7,
  chainId: 'ws_1',
  sequence: 3,
  hash: 'a'.repeat(64),
  id: 'evt_1',
  workspaceId: 'ws_1',
  actorKind: 'USER',
  actorId: 'usr_1',
  action: 'key.updated',
  subjectId: 'key_1',
  ip: null,
  userAgent: null,
  before: null,
  after: null,
  createdAt: 1_000,
};
const ocsf = (values: Partial<SealedEvent>) => JSON.parse(lineOf({ ...EVENT, ...values }, 'ocsf')) as Record<string, unknown>;

it('contains no line separator of Unicode inside a line', () => {
  const name = 'one\u0085two\u2028three\u2029four\n\v\f\r\u001c\u001d\u001e';
  for (const format of ['ndjson', 'ocsf'] as const) {
    const line = lineOf({ ...EVENT, userAgent: name, after: JSON.stringify({ name }) }, format);
    expect(line.slice(0, -1)).not.toMatch(/[\n\v\f\r\u001c-\u001e\u0085\u2028\u2029]/);
    const read = JSON.parse(line) as { after?: unknown; unmapped?: { after: unknown } };
    expect(read.after ?? read.unmapped?.after).toEqual({ name });
  }
});

describe('as OCSF', () => {
  const files = readdirSync(join(__dirname, '../src'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const actions = files.flatMap((file) =>
    [...readFileSync(join(__dirname, '../src', file), 'utf8').matchAll(/\baction: ['`](?!demo\.)([\w$.{}-]+\.[a-z-]+)['`]/g)].map(
      ([, action = '']) => action,
    ),
  );
  const deedsOf = (ofSessions: boolean) =>
    new Set(actions.filter((action) => action.startsWith('session.') === ofSessions).map((action) => action.split('.').at(-1)));

  it('has an activity for exactly the actions in the code, except requests, refusals and notices', () => {
    expect(deedsOf(true)).toEqual(new Set(OCSF_DEEDS.authentication));
    expect(deedsOf(false)).toEqual(new Set([...OCSF_DEEDS.apiActivity, 'reset-requested', 'refused', 'rotation-due']));
    expect(ocsf({ action: 'password.reset-requested' })).toMatchObject({
      class_uid: 6003,
      activity_id: 99,
      activity_name: 'reset-requested',
      type_uid: 600399,
    });
    expect(ocsf({ action: 'member.role-changed' })).toMatchObject({
      activity_id: 3,
      type_uid: 600303,
      resources: [{ uid: 'key_1', type: 'member' }],
    });
  });

  it('has the type Other for an actor of a kind that OCSF 1.3 does not know, and names the kind', () => {
    const typeOf = (actorKind: string) => (ocsf({ actorKind }).actor as { user: { type_id: number } }).user;
    expect(['USER', 'OPERATOR', 'SYSTEM', 'API_KEY', 'ROBOT'].map((kind) => typeOf(kind).type_id)).toEqual([1, 2, 3, 99, 99]);
    expect(typeOf('API_KEY')).toMatchObject({ type: 'API_KEY' });
  });
});
