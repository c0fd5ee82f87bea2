import type { Principal } from '../../access/principal';
import { TollgateError } from '../../errors';

/** Whose something is: all keys, service accounts and applications of a workspace are one, or making more would get around a limit. */
export const ownerOf = (principal: Principal): string => ('workspaceId' in principal ? principal.workspaceId : principal.id);

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

  /** Takes one, and gives what gives it back. Throws NoPlace. */
  take(owner: string): () => void {
    const { most, each, what } = this.limits;
    const own = this.taken.get(owner) ?? 0;
    if (this.total >= most) throw new NoPlace(`Too many ${what} are open; try again later.`);
    if (own >= each) throw new NoPlace(`Too many ${what} of yours are open; end one, or try again later.`);
    this.total += 1;
    this.taken.set(owner, own + 1);
    let isGivenBack = false;
    return () => {
      if (isGivenBack) return;
      isGivenBack = true;
      this.total -= 1;
      const left = (this.taken.get(owner) as number) - 1;
      if (left === 0) this.taken.delete(owner);
      else this.taken.set(owner, left);
    };
  }
}
