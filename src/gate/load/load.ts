import { Shares, type Sharer } from './shares';

/** Counts the calls in flight: in total, and for each project and workspace. Each count has a limit. */
export class Load {
  private calls = 0;
  private readonly shares: Shares;
  private readonly waitingForIdle: (() => void)[] = [];

  /** A project gets a quarter of all places. The projects of a workspace together get three quarters. */
  constructor(private readonly limits: { maxCalls: number }) {
    this.shares = new Shares({ each: Math.ceil(limits.maxCalls / 4), together: Math.ceil((limits.maxCalls * 3) / 4) });
  }

  /** Takes a place for a call, until `leave`. Returns false if no place is free. */
  enter(): boolean {
    if (this.calls >= this.limits.maxCalls) return false;
    this.calls += 1;
    return true;
  }

  leave(): void {
    this.calls -= 1;
    if (this.calls === 0) for (const resolve of this.waitingForIdle.splice(0)) resolve();
  }

  /** Resolves once no call is in flight. */
  async idle(): Promise<void> {
    if (this.calls > 0) await new Promise<void>((resolve) => this.waitingForIdle.push(resolve));
  }

  /** Takes a place of the call's project, until `leaveProject`. Returns false if the project or its workspace has none left. */
  enterProject(project: Sharer): boolean {
    if (!this.shares.hasRoom(project, 1, this.limits.maxCalls - this.calls)) return false;
    this.shares.add(project, 1);
    return true;
  }

  leaveProject(project: Sharer): void {
    this.shares.add(project, -1);
  }
}
