import { TollgateError } from '../errors';
import type { Principal } from './principal';

/** Whose something is: all keys, service accounts and applications of a workspace are one, or making more would get around a limit. */
export const ownerOf = (principal: Principal): string => ('workspaceId' in principal ? principal.workspaceId : principal.id);

/** What the people of one workspace may have together of what a process has: half, so that inviting more gets around no limit either. */
const SHARE_OF_PEOPLE = 1 / 2;

/** Nothing is free; SERVICE_UNAVAILABLE. */
export class NoPlace extends TollgateError {
  constructor(message: string) {
    super('SERVICE_UNAVAILABLE', message);
  }
}

/** So many at once in this process, and so many of these for each owner, so that no tenant locks others out. */
export class Places {
  private readonly taken = new Map<string, number>();
  private total = 0;

  constructor(private readonly limits: { most: number; each: number; what: string }) {}

  /** Takes one for a principal, or for an owner of another kind, and gives what gives it back. Throws NoPlace. */
  take(whose: Principal | string): () => void {
    const { most, each, what } = this.limits;
    const owner = typeof whose === 'string' ? whose : ownerOf(whose);
    if (this.total >= most) throw new NoPlace(`Too many ${what} are open; try again later.`);
    if (this.of(owner) >= each) throw new NoPlace(`Too many ${what} of yours are open; end one, or try again later.`);
    const takers = [owner];
    if (typeof whose === 'object' && whose.kind === 'USER' && whose.permissionsByWorkspace.size > 0) {
      const people = [...whose.permissionsByWorkspace.keys()].map((workspaceId) => `people of ${workspaceId}`);
      const withRoom = people.find((one) => this.of(one) < most * SHARE_OF_PEOPLE);
      if (withRoom === undefined) throw new NoPlace(`Too many ${what} of the people of your workspace are open; try again later.`);
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
