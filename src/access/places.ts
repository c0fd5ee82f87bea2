import { TollgateError } from '../errors';
import type { Principal } from './principal';

/**
 * The owner that a principal counts against. All keys, service accounts and applications of a workspace share one owner: otherwise a
 * tenant could pass a limit by creating more of them.
 */
export const ownerOf = (principal: Principal): string => ('workspaceId' in principal ? principal.workspaceId : principal.id);

/** The share of all places that the people of one workspace may hold together, so that inviting more people does not pass a limit. */
const SHARE_OF_PEOPLE = 1 / 2;

/** No place is free. Answered as SERVICE_UNAVAILABLE. */
export class NoPlace extends TollgateError {
  constructor(message: string) {
    super('SERVICE_UNAVAILABLE', message);
  }
}

/** Limits how many things are open at once in this process, in total and for each owner, so that no tenant locks others out. */
export class Places {
  private readonly taken = new Map<string, number>();
  private total = 0;

  constructor(private readonly limits: { most: number; each: number; what: string }) {}

  /** Takes a place for a principal or a named owner. Returns a function that gives the place back. Throws NoPlace if no place is free. */
  take(holder: Principal | string): () => void {
    const { most, each, what } = this.limits;
    const owner = typeof holder === 'string' ? holder : ownerOf(holder);
    if (this.total >= most) throw new NoPlace(`Too many ${what} are open. Try again later.`);
    if (this.of(owner) >= each) throw new NoPlace(`You have too many open ${what}. Close one, or try again later.`);
    const takers = [owner];
    if (typeof holder === 'object' && holder.kind === 'USER' && holder.permissionsByWorkspace.size > 0) {
      const people = [...holder.permissionsByWorkspace.keys()].map((workspaceId) => `people of ${workspaceId}`);
      const withRoom = people.find((group) => this.of(group) < most * SHARE_OF_PEOPLE);
      if (withRoom === undefined) throw new NoPlace(`The people of your workspace have too many open ${what}. Try again later.`);
      takers.push(withRoom);
    }
    this.add(takers, 1);
    let isGivenBack = false;
    return () => {
      if (isGivenBack) return;
      isGivenBack = true;
      this.add(takers, -1);
    };
  }

  private of(taker: string): number {
    return this.taken.get(taker) ?? 0;
  }

  private add(takers: string[], count: 1 | -1): void {
    this.total += count;
    for (const taker of takers) {
      const left = this.of(taker) + count;
      if (left === 0) this.taken.delete(taker);
      else this.taken.set(taker, left);
    }
  }
}
