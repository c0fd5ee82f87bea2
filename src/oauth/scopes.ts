import type { IdentityScope } from '../access/permissions';

/** What of OpenID Connect may be asked for, in words; every other scope is a permission. */
export const IDENTITY_WORDS: Record<IdentityScope, string> = {
  openid: 'Know that it is you',
  profile: 'Know your name',
  email: 'Know your e-mail address',
  offline_access: 'Go on while you are away',
};

/** A scope as OAuth writes it, taken apart. */
export const scopesIn = (text: unknown): string[] => (typeof text === 'string' ? text.split(' ').filter((scope) => scope !== '') : []);
