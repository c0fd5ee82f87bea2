import type { Call } from '../call';
import { Load } from './load';
import type { Sharer } from './shares';

type Placed = Pick<Call, 'kept' | 'placeInProject'>;

/** The places of calls in flight: in the process, and in the project once it is known. */
export class CallPlaces {
  private readonly load: Load;

  constructor(limits: { maxCalls: number }) {
    this.load = new Load(limits);
  }

  /** Takes a place in the process, until `leave`. Returns false if no place is free. */
  enter(): boolean {
    return this.load.enter();
  }

  /** Takes a place in a project, instead of the call's place in another one. Returns false if no place or no memory is left there. */
  reserve(call: Placed, project: Sharer): boolean {
    this.leaveProject(call);
    if (!this.load.enterProject(project)) return false;
    call.placeInProject = project;
    return call.kept.moveTo(project);
  }

  /** Gives all places of a call back. */
  leave(call?: Placed): void {
    if (call) this.leaveProject(call);
    this.load.leave();
  }

  /** Resolves once no call is in flight. */
  idle(): Promise<void> {
    return this.load.idle();
  }

  private leaveProject(call: Placed): void {
    if (call.placeInProject !== null) this.load.leaveProject(call.placeInProject);
    call.placeInProject = null;
  }
}
