/** The number of rows on a page of a list if the caller does not say. */
export const DEFAULT_PAGE_SIZE = 25;
/** The most rows on a page of a list. */
export const MAX_PAGE_SIZE = 100;
/** The most rows that are counted in a list. */
export const MAX_COUNTED = 10_000;
