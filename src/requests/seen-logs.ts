/** The position of a log: its time, then its id. Calls are sent in this order, except late ones. */
export interface LogPlace {
  /** The log's createdAt, in milliseconds since 1970. */
  at: number;
  id: string;
}

export const comesAfter = (one: LogPlace, other: LogPlace): boolean => one.at > other.at || (one.at === other.at && one.id > other.id);

/** Seen logs are counted in parts by age. These are the bounds between the parts: ages relative to the newest log, in milliseconds. */
const PARTS_MS = [5_000, 1_000, 200, 40, 0] as const;

/** The number of logs in each part. */
export type Counts = [number, number, number, number, number];

export const COUNTS = PARTS_MS.length;

/** The index of the part that a log belongs to. */
export const partOf = (newest: LogPlace, { at }: LogPlace): number => PARTS_MS.findIndex((ageMs) => newest.at - at >= ageMs);

/** The logs that were recently sent, in order. */
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

  /** Forgets the logs with a time before `at`. */
  forgetBefore(at: number): void {
    const kept = this.first((place) => place.at >= at);
    for (const { id } of this.places.slice(0, kept)) this.ids.delete(id);
    this.places = this.places.slice(kept);
  }

  /** The number of logs in each part, oldest part first. */
  counts(newest: LogPlace): Counts {
    // A part ends at the first log that is younger than the part's bound.
    const ends = PARTS_MS.map((ageMs) => this.first(({ at }) => newest.at - at < ageMs));
    ends[COUNTS - 1] = this.places.length;
    return ends.map((end, part) => end - (ends[part - 1] ?? 0)) as Counts;
  }

  /**
   * Returns the first index for which `holds` is true, or the length if there is none. This is a binary search: if `holds` is true for one
   * index, it must be true for all later ones.
   */
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
