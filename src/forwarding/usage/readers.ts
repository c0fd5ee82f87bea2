import { createParser, type EventSourceParser } from 'eventsource-parser';
import { Copies, GrowingCopy } from '../copies';
import { parsePointer, valueAt, type Pointer } from './pointer';
import { usageOf, type Usage } from './quantities';

/** Where an answer says how much of a unit it used. `pointer` is a JSON pointer (RFC 6901). */
export interface UsageSource {
  unit: string;
  pointer: string;
}

/** Reads usage from the plain bytes of an answer. */
export interface UsageReader {
  take(chunk: Buffer): void;
  /** Called at the end of the answer. Null if there was no quantity, or if the answer was too large. */
  end(): Usage | null;
}

/** The longest JSON answer that is read for usage. */
export const MAX_JSON_BYTES = 10 * 1024 * 1024;
/** The longest server-sent event that is read for usage, in characters. */
export const MAX_EVENT_LENGTH = 1024 * 1024;
/** Memory for unfinished events is counted in steps of this size. */
const STEP_BYTES = 65_536;

/** The reader for a media type, or undefined if usage cannot be read from it. */
export function readerFor(contentType: string, sources: readonly UsageSource[], copies: Copies): UsageReader | undefined {
  const mediaType = (contentType.split(';', 1)[0] as string).trim().toLowerCase();
  if (mediaType === 'text/event-stream') return new EventReader(sources, copies);
  if (mediaType === 'application/json' || mediaType.endsWith('+json')) return new JsonReader(sources, copies);
  return undefined;
}

/** The values of the units of `sources`. Undefined and null are left out. */
class Values {
  private readonly pointers: { unit: string; pointer: Pointer }[];
  private readonly found = new Map<string, unknown>();

  constructor(sources: readonly UsageSource[]) {
    this.pointers = sources.map(({ unit, pointer }) => ({ unit, pointer: parsePointer(pointer) }));
  }

  /** Reads one JSON text. Later values replace earlier ones. Ignores a text that is not JSON. */
  read(json: string): void {
    let document: unknown;
    try {
      document = JSON.parse(json);
    } catch {
      return;
    }
    for (const { unit, pointer } of this.pointers) {
      const value = valueAt(document, pointer);
      if (value !== undefined && value !== null) this.found.set(unit, value);
    }
  }

  usage(): Usage | null {
    return usageOf(this.found);
  }
}

class JsonReader implements UsageReader {
  private readonly copy: GrowingCopy;

  constructor(
    private readonly sources: readonly UsageSource[],
    copies: Copies,
  ) {
    this.copy = new GrowingCopy(copies, MAX_JSON_BYTES);
  }

  take(chunk: Buffer): void {
    this.copy.add(chunk);
  }

  end(): Usage | null {
    const bytes = this.copy.bytes();
    if (!bytes) return null;
    const values = new Values(this.sources);
    values.read(new TextDecoder().decode(bytes)); // removes a byte order mark
    return values.usage();
  }
}

/** Reads server-sent events. The last event that has a pointer decides its unit. */
class EventReader implements UsageReader {
  private readonly values: Values;
  private readonly decoder = new TextDecoder();
  private readonly parser: EventSourceParser;
  private unfinishedBytes = 0;
  private keptBytes = 0;
  private isTooLarge = false;

  constructor(
    sources: readonly UsageSource[],
    private readonly copies: Copies,
  ) {
    this.values = new Values(sources);
    this.parser = createParser({
      maxBufferSize: MAX_EVENT_LENGTH,
      onEvent: ({ data }) => {
        this.unfinishedBytes = 0;
        this.values.read(data);
      },
      onError: ({ type }) => {
        if (type === 'max-buffer-size-exceeded') this.isTooLarge = true;
      },
    });
  }

  take(chunk: Buffer): void {
    this.feed(this.decoder.decode(chunk, { stream: true }));
  }

  /** Some upstreams leave out the empty line after the last event. The answer is complete, so the event is too. */
  end(): Usage | null {
    this.feed(`${this.decoder.decode()}\n\n`);
    return this.isTooLarge ? null : this.values.usage();
  }

  private feed(text: string): void {
    if (this.isTooLarge) return;
    this.unfinishedBytes += text.length;
    this.parser.feed(text);
    if (this.unfinishedBytes <= this.keptBytes + STEP_BYTES) return;
    if (this.copies.grow(this.unfinishedBytes - this.keptBytes)) this.keptBytes = this.unfinishedBytes;
    else {
      this.isTooLarge = true;
      this.parser.reset();
    }
  }
}
