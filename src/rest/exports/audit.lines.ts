import { EVENT_COLUMNS } from '../../audit/chain';
import type { SealedEvent, TrailEntry } from '../../audit/trail';
import { trailCursor } from './audit.schema';
import { jsonLine } from './lines';
import { goneAsOcsf, toOcsf } from './ocsf';

// What was sealed as a line of an export.

/** Text that somebody made unreadable is told as it stands: the rest of the trail is not to be lost with it. */
function parsed(json: string | null): unknown {
  try {
    return json === null ? null : JSON.parse(json);
  } catch {
    return json;
  }
}

const changesOf = ({ before, after }: SealedEvent) => ({ before: parsed(before), after: parsed(after) });

const LINES = {
  ndjson: (entry: TrailEntry) => {
    const { chainId, sequence, hash } = entry;
    const place = { cursor: trailCursor(entry), chain: chainId, sequence, hash };
    if (entry.missing) return { ...place, missing: true };
    const columns = Object.fromEntries(EVENT_COLUMNS.map((column) => [column, entry[column]]));
    return { ...place, ...columns, ...changesOf(entry), createdAt: new Date(entry.createdAt).toISOString() };
  },
  ocsf: (entry: TrailEntry) => ({ ...(entry.missing ? goneAsOcsf(entry, new Date()) : toOcsf(entry, changesOf(entry))), cursor: trailCursor(entry) }),
};

/** One line, whoever splits lines. */
export const lineOf = (entry: TrailEntry, format: keyof typeof LINES): string => jsonLine(LINES[format](entry));
