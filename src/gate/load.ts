/** Calls in flight, in all and per project, each with its bound. */
export class Load {
  private calls = 0;
  private readonly perProject = new Map<string, number>();
  private readonly waitingForIdle: (() => void)[] = [];

  /** A project may have a quarter of all calls. */
  constructor(private readonly limits: { maxCalls: number }) {}

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

  enterProject(projectId: string): boolean {
    const calls = this.perProject.get(projectId) ?? 0;
    if (calls >= this.limits.maxCalls / 4) return false;
    this.perProject.set(projectId, calls + 1);
    return true;
  }

  leaveProject(projectId: string): void {
    const calls = (this.perProject.get(projectId) ?? 1) - 1;
    if (calls === 0) this.perProject.delete(projectId);
    else this.perProject.set(projectId, calls);
  }
}
