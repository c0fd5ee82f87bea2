import { TollgateError } from '../errors';
import type { Time } from '../lib/time';
import { credentialKey, type Credential, type CredentialRef } from './call';
import { Lane } from './tick/lane';
import type { TickStore } from './tick/tick-store';
import { MAX_TICK_ITEMS, inTime } from './tick/ticker';

interface LookUp {
  ref: CredentialRef;
  waitsSince: number;
  resolve(credential: Credential | undefined): void;
  reject(error: unknown): void;
}

export interface LookUpsDeps {
  store: Pick<TickStore, 'findCredentials'>;
  time: Time;
  /** Called with each failure, to log it. */
  onFailure(error: unknown, what: string): void;
}

/**
 * Reads credentials by their secrets, batched: one batch runs at a time, and requests collect for the next one. So a flood of requests
 * leaves connections for ticks.
 */
export class LookUps {
  private readonly lane: Lane<LookUp>;

  constructor(private readonly deps: LookUpsDeps) {
    this.lane = new Lane(deps.time, { maxItems: MAX_TICK_ITEMS, maxBytes: Infinity, bytesOf: () => 0 }, (batch) => this.findAll(batch));
  }

  /**
   * Returns the credential, read from the primary after this call, or undefined if there is none.
   * Rejects with SERVICE_UNAVAILABLE if the database does not answer, or if ADMISSION_WAIT_MS have passed since `waitsSince`.
   */
  find(ref: CredentialRef, waitsSince = this.deps.time.now()): Promise<Credential | undefined> {
    return new Promise((resolve, reject) => this.lane.push({ ref, waitsSince, resolve, reject }));
  }

  private async findAll(waiting: LookUp[]): Promise<(() => void)[]> {
    const batch = inTime(this.deps.time, waiting, ({ waitsSince }) => waitsSince);
    if (batch.length === 0) return [];
    try {
      const refs = new Map(batch.map(({ ref }) => [credentialKey(ref), ref]));
      const found = await this.deps.store.findCredentials([...refs.values()]);
      return batch.map(({ ref, resolve }) => () => resolve(found.get(credentialKey(ref))));
    } catch (error) {
      this.deps.onFailure(error, 'look-up');
      const unavailable = new TollgateError('SERVICE_UNAVAILABLE', undefined, {}, { cause: error });
      return batch.map(({ reject }) => () => reject(unavailable));
    }
  }
}
