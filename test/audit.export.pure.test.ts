import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { SealedEvent, TrailRequest } from '../src/audit/trail';
import { lineOf } from '../src/rest/export.lines';
import { exportLines, type ExportStream } from '../src/rest/export.stream';
import { OCSF_DEEDS } from '../src/rest/ocsf';

// How an export reads, without a database: its trail is endless.

function endless(values: Partial<ExportStream> = {}) {
  const requests: TrailRequest[] = [];
  const read = async (request: TrailRequest): Promise<SealedEvent[]> => {
    requests.push(request);
    return Array.from({ length: request.limit }, (_, index) => ({ position: request.after + index + 1 }) as SealedEvent);
  };
  const stop = new AbortController();
  const lineOf = ({ position }: SealedEvent) => `${position}\n`;
  const lines = exportLines({ read, mayRead: async () => true, lineOf, chainId: undefined, after: 0, follow: false, stop: stop.signal, ...values });
  return { lines, requests, stop };
}

it('reads a page when the one before has been taken, and no sooner: a slow reader costs the memory of one page', async () => {
  const { lines, requests } = endless();
  const stream = Readable.from(lines);
  const reader = stream[Symbol.asyncIterator]();
  for (let line = 1; line <= 1_200; line += 1) expect((await reader.next()).value).toBe(`${line}\n`);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(requests.map(({ after }) => after)).toEqual([0, 500, 1_000]);
  stream.destroy();
});

it('ends between two lines when it is stopped', async () => {
  const { lines, stop } = endless();
  expect((await lines.next()).value).toBe('1\n');
  stop.abort();
  expect((await lines.next()).done).toBe(true);
});

it('asks for the right again while it is busy, not only while it waits', async () => {
  let allowed = true;
  const { lines } = endless({ mayRead: async () => allowed });
  expect((await lines.next()).value).toBe('1\n');
  allowed = false;
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  let told = 1;
  while (!(await lines.next()).done) told += 1;
  expect(told).toBe(500); // those that had been read
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

it('is one line for whoever splits at any of the ends that Unicode has', () => {
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
  const actions = files.flatMap((file) => [...readFileSync(join(__dirname, '../src', file), 'utf8').matchAll(/\baction: ['`]([\w$.{}-]+\.[a-z-]+)['`]/g)].map(([, action = '']) => action));
  const deedsOf = (ofSessions: boolean) => new Set(actions.filter((action) => action.startsWith('session.') === ofSessions).map((action) => action.split('.').at(-1)));

  it('each deed that there is has its activity, and no other has: but a reset that was only asked for', () => {
    expect(deedsOf(true)).toEqual(new Set(OCSF_DEEDS.authentication));
    expect(deedsOf(false)).toEqual(new Set([...OCSF_DEEDS.apiActivity, 'reset-requested']));
    expect(ocsf({ action: 'password.reset-requested' })).toMatchObject({ class_uid: 6003, activity_id: 99, activity_name: 'reset-requested', type_uid: 600399 });
    expect(ocsf({ action: 'member.role-changed' })).toMatchObject({ activity_id: 3, type_uid: 600303, resources: [{ uid: 'key_1', type: 'member' }] });
  });

  it('an actor of a kind that 1.3 does not know is Other, and its type says what', () => {
    const typeOf = (actorKind: string) => (ocsf({ actorKind }).actor as { user: { type_id: number } }).user;
    expect(['USER', 'OPERATOR', 'SYSTEM', 'API_KEY', 'ROBOT'].map((kind) => typeOf(kind).type_id)).toEqual([1, 2, 3, 99, 99]);
    expect(typeOf('API_KEY')).toMatchObject({ type: 'API_KEY' });
  });
});
