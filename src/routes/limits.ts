/** The most routes of an installation. */
export const MAX_ROUTES = 1_000;
/** The longest path of a route, and the longest path at an upstream. */
export const MAX_PATH_LENGTH = 1_000;
export const MAX_UPSTREAM_URL_LENGTH = 2_000;
export const MAX_BILLED_STATUSES = 50;
/** The most units whose quantities a route finds in answers. */
export const MAX_USAGE_SOURCES = 20;

/** 100 MiB. */
export const DEFAULT_MAX_BODY_BYTES = 104_857_600;
export const DEFAULT_IDLE_TIMEOUT_MS = 60_000;
export const DEFAULT_MAX_DURATION_MS = 600_000;
