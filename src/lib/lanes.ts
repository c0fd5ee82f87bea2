/** If N places are free, a project may have at most N times this number. So a project that is alone gets three quarters of all places. */
const HELD_PER_FREE = 3;
/**
 * The same for all projects of a workspace together. So a workspace that is alone gets seven eighths of all places, however many projects
 * it has.
 */
const HELD_PER_FREE_TOGETHER = 7;

/** The project of a call, and its workspace. */
export interface Holder {
  projectId: string;
  workspaceId: string;
}

interface Lane {
  /** Number of taken places, by project and by workspace. */
  taken: Map<string, number>;
  free: number;
  /** Waiting calls, by project. The project that is served next comes first. */
  waiting: Map<string, Waiting>;
}

interface Waiting {
  holder: Holder;
  calls: Set<() => void>;
}

/**
 * Runs at most `size` pieces of work at once for each key. Keys do not wait for each other. If N places are free, a project may have N *
 * HELD_PER_FREE places, and a workspace N * HELD_PER_FREE_TOGETHER. So a workspace that has no place always finds a free one. Waiting
 * projects take turns.
 */
export class Lanes {
  private readonly lanes = new Map<string, Lane>();

  constructor(private readonly size: number) {}

  /** Runs `work` once a place is free and returns its result. If `signal` aborts before that, rejects with its reason. */
  async run<T>(key: string, holder: Holder, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.enter(key, holder, signal);
    try {
      return await work();
    } finally {
      this.leave(key, holder);
    }
  }

  /** Takes a place and returns true, or returns false if none is free. The caller must give a taken place back with `leave`. */
  tryEnter(key: string, holder: Holder): boolean {
    const lane = this.laneOf(key);
    if (lane.waiting.has(holder.projectId) || !mayTake(lane, holder)) return false;
    take(lane, holder);
    return true;
  }

  /**
   * Takes a place, or waits in the queue for one. The caller must give it back with `leave`. If `signal` aborts before that, rejects with
   * its reason.
   */
  enter(key: string, holder: Holder, signal: AbortSignal): Promise<void> {
    if (this.tryEnter(key, holder)) return Promise.resolve();
    const lane = this.laneOf(key);
    const { projectId } = holder;
    return new Promise((resolve, reject) => {
      const goAhead = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        const own = lane.waiting.get(projectId);
        if (own?.calls.delete(goAhead) && own.calls.size === 0) lane.waiting.delete(projectId);
        reject(signal.reason);
      };
      const own = lane.waiting.get(projectId) ?? { holder, calls: new Set<() => void>() };
      own.calls.add(goAhead);
      lane.waiting.set(projectId, own);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Gives a place back, and starts the calls that may use it. */
  leave(key: string, { projectId, workspaceId }: Holder): void {
    const lane = this.lanes.get(key);
    if (!lane) throw new Error(`There is no lane ${key}.`);
    for (const id of [projectId, workspaceId]) {
      const held = lane.taken.get(id);
      if (!held) throw new Error(`${id} has no place in the lane ${key}.`);
      if (held === 1) lane.taken.delete(id);
      else lane.taken.set(id, held - 1);
    }
    lane.free += 1;
    for (const waiting of [...lane.waiting.values()]) if (mayTake(lane, waiting.holder)) serve(lane, waiting);
    if (lane.free === this.size) this.lanes.delete(key);
  }

  private laneOf(key: string): Lane {
    const known = this.lanes.get(key);
    if (known) return known;
    const lane: Lane = { taken: new Map(), free: this.size, waiting: new Map() };
    this.lanes.set(key, lane);
    return lane;
  }
}

const mayTake = ({ taken, free }: Lane, { projectId, workspaceId }: Holder): boolean =>
  (taken.get(projectId) ?? 0) < HELD_PER_FREE * free && (taken.get(workspaceId) ?? 0) < HELD_PER_FREE_TOGETHER * free;

function take(lane: Lane, { projectId, workspaceId }: Holder): void {
  for (const id of [projectId, workspaceId]) lane.taken.set(id, (lane.taken.get(id) ?? 0) + 1);
  lane.free -= 1;
}

/** Starts one waiting call of a project, and moves the project to the end of the queue. */
function serve(lane: Lane, { holder, calls }: Waiting): void {
  const [goAhead] = calls;
  lane.waiting.delete(holder.projectId);
  if (!goAhead) return;
  calls.delete(goAhead);
  if (calls.size > 0) lane.waiting.set(holder.projectId, { holder, calls });
  take(lane, holder);
  goAhead();
}
