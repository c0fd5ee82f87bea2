import { chainOf } from '../audit/chain';
import type { SealedEvent } from '../audit/trail';
import { trailCursor } from './export.schema';
import { toOcsf } from './ocsf';

// A sealed event as a line of an export.

/** Text that somebody made unreadable is told as it stands: the rest of the trail is not to be lost with it. */
function parsed(json: string | null): unknown {
  try {
    return json === null ? null : JSON.parse(json);
  } catch {
    return json;
  }
}

const LINES = {
  ndjson: ({ position, sequence, hash, before, after, createdAt, ...event }: SealedEvent) => ({
    cursor: trailCursor(position),
    chain: chainOf(event),
    sequence,
    hash,
    ...event,
    before: parsed(before),
    after: parsed(after),
    createdAt: new Date(createdAt).toISOString(),
  }),
  ocsf: (event: SealedEvent) => ({ ...toOcsf(event, { before: parsed(event.before), after: parsed(event.after) }), cursor: trailCursor(event.position) }),
};

export function lineOf(event: SealedEvent, format: keyof typeof LINES): string {
  return `${JSON.stringify(LINES[format](event))}\n`;
}
