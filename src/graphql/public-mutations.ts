/** The mutations that are for those who have no credential yet; all others want one. */
export const PUBLIC_MUTATIONS: ReadonlySet<string> = new Set(['acceptInvitation', 'requestPasswordReset', 'resetPassword', 'signIn']);
