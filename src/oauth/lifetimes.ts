// Lifetimes of tokens and codes of OAuth, in seconds.

export const ACCESS_TOKEN_SECONDS = 3_600; // an hour
export const REFRESH_TOKEN_SECONDS = 2_592_000; // 30 days, from the last rotation
export const ID_TOKEN_SECONDS = 3_600;
export const CODE_SECONDS = 60;
/** Time for a person to sign in and decide. */
export const INTERACTION_SECONDS = 900;

/** Prefix of tokens and secrets of OAuth, so that scanners for leaked secrets recognise them. */
export const PRODUCT = 'tollgate';
