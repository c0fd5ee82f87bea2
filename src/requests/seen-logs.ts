/** Where a log stands: calls are told in this order, as far as they come in it. */
export interface LogPlace {
  /** Its createdAt, in milliseconds since 1970. */
  at: number;
  id: string;
}

export const comesAfter = (one: LogPlace, other: LogPlace): boolean => one.at > other.at || (one.at === other.at && one.id > other.id);

/** The age of a log against the newest one, in milliseconds, at which one part of what was seen ends and the next begins. */
const PARTS_MS = [5_000, 1_000, 200, 40, 0] as const;

/** How many of each part there are. */
export type Counts = [number, number, number, number, number];

export const COUNTS = PARTS_MS.length;

/** The part that a log belongs to. */
export const partOf = (newest: LogPlace, { at }: LogPlace): number => PARTS_MS.findIndex((ageMs) => newest.at - at >= ageMs);

/** The logs that were told of late, in their order. */
export class SeenLogs {
  private readonly ids = new Set<string>();
  private places: LogPlace[] = [];

  has({ id }: { id: string }): boolean {
    return this.ids.has(id);
  }

  add(place: LogPlace): void {
    if (this.ids.has(place.id)) return;
    this.ids.add(place.id);
    const index = this.first((other) => comesAfter(other, place));
    if (index === this.places.length) this.places.push(place);
    else this.places.splice(index, 0, place);
  }

  /** Forgets those from before a time. */
  forgetBefore(at: number): void {
    const gone = this.first((place) => place.at >= at);
    for (const { id } of this.places.slice(0, gone)) this.ids.delete(id);
    this.places = this.places.slice(gone);
  }

  /** How many there are of each part, oldest first. */
  counts(newest: LogPlace): Counts {
    // A part ends where the next begins: at the first log that is younger than its age
    const ends = PARTS_MS.map((ageMs) => this.first(({ at }) => newest.at - at < ageMs));
    ends[COUNTS - 1] = this.places.length;
    return ends.map((end, part) => end - (ends[part - 1] ?? 0)) as Counts;
  }

  /** The index of the first for which something holds that then holds for all that follow; their number where it holds for none. */
  private first(holds: (place: LogPlace) => boolean): number {
    let [low, high] = [0, this.places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (holds(this.places[middle] as LogPlace)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
