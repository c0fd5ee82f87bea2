// How long what OAuth hands out lives, in seconds.

export const ACCESS_TOKEN_SECONDS = 3_600; // an hour
export const REFRESH_TOKEN_SECONDS = 2_592_000; // 30 days, and anew with each rotation
export const ID_TOKEN_SECONDS = 3_600;
export const CODE_SECONDS = 60;
/** From the first page to the code: signing in, and making up one's mind. */
export const INTERACTION_SECONDS = 900;

/** What begins tokens and secrets of OAuth: a scanner of leaked secrets knows by it whose they are. */
export const PRODUCT = 'tollgate';
