import type { IdentityScope } from '../access/permissions';

/** Descriptions of the scopes of OpenID Connect on the consent page. Every other scope is a permission. */
export const IDENTITY_WORDS: Record<IdentityScope, string> = {
  openid: 'Know that it is you',
  profile: 'Know your name',
  email: 'Know your e-mail address',
  offline_access: 'Keep access while you are away',
};

/** Splits a `scope` parameter at its blanks. Returns an empty list if it is not a string. */
export const scopesIn = (text: unknown): string[] => (typeof text === 'string' ? text.split(' ').filter((scope) => scope !== '') : []);
