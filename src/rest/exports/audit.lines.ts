import { EVENT_COLUMNS } from '../../audit/event-hash';
import type { SealedEvent, TrailEntry } from '../../audit/trail';
import { trailCursor } from '../../audit/trail.cursor';
import { jsonLine } from './lines';
import { goneAsOcsf, toOcsf } from './ocsf';

// Writes sealed audit events as lines of an export.

/** Returns text that is not JSON unchanged. Somebody may have damaged it, and the export must still send the rest of the trail. */
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
  ocsf: (entry: TrailEntry) => {
    const event = entry.missing ? goneAsOcsf(entry, new Date()) : toOcsf(entry, changesOf(entry));
    return { ...event, cursor: trailCursor(entry) };
  },
};

/** Returns an event as one line of JSON. */
export const lineOf = (entry: TrailEntry, format: keyof typeof LINES): string => jsonLine(LINES[format](entry));
