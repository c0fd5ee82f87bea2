import type { OpenCall } from './open-call';

/** Interval between two looks for holds that must be renewed. */
const LOOK_INTERVAL_MS = 1_000;

/** Renews the holds of all calls in flight that ask for it. */
export class Renewals {
  private readonly open = new Set<OpenCall>();
  private readonly looking = setInterval(() => this.once(), LOOK_INTERVAL_MS).unref();

  add(call: OpenCall): void {
    this.open.add(call);
  }

  delete(call: OpenCall): void {
    this.open.delete(call);
  }

  /** Renews each hold that is due. */
  once(): void {
    for (const call of this.open) void call.renewIfDue();
  }

  close(): void {
    clearInterval(this.looking);
  }
}
