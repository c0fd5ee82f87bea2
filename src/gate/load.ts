import { Shares, type Sharer } from './shares';

/** Calls in flight, in all, and for each project and workspace, each with its bound. */
export class Load {
  private calls = 0;
  private readonly shares: Shares;
  private readonly waitingForIdle: (() => void)[] = [];

  /** A project may have a quarter of all calls, and a workspace three. */
  constructor(private readonly limits: { maxCalls: number }) {
    this.shares = new Shares({ each: Math.ceil(limits.maxCalls / 4), together: Math.ceil((limits.maxCalls * 3) / 4) });
  }

  /** Takes a place for a call, until `leave`; false where there is none. */
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

  /** Takes one of its project's places, until `leaveProject`; false where there is none. */
  enterProject(project: Sharer): boolean {
    if (!this.shares.hasRoom(project, 1)) return false;
    this.shares.add(project, 1);
    return true;
  }

  leaveProject(project: Sharer): void {
    this.shares.add(project, -1);
  }
}
