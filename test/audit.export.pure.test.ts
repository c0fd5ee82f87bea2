import { Readable } from 'node:stream';
import type { SealedEvent, TrailRequest } from '../src/audit/trail';
import { exportLines, type ExportStream } from '../src/rest/export.stream';

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
