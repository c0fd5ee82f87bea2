import ipaddr from 'ipaddr.js';
import { z } from 'zod';

export interface MysqlSettings {
  type: 'mysql';
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  /** Whether to encrypt the connection. Then the server's certificate must come from an authority that Node trusts. */
  ssl: boolean;
}

export interface SqliteSettings {
  type: 'sqlite';
  path: string;
}

export type DatabaseSettings = MysqlSettings | SqliteSettings;

/** The configuration of a process, from its environment. Frozen. */
export interface Config {
  readonly database: DatabaseSettings;
  readonly host: string;
  readonly port: number;
  readonly rootKey: string | undefined;
  readonly keyPepper: string | undefined;
  /** `whsec_` secrets. If empty, one is derived from the pepper. */
  readonly upstreamSigningSecrets: readonly string[];
  readonly trustedProxies: readonly string[];
  readonly corsOrigins: readonly string[];
  readonly bodyLimitBytes: number;
  readonly maxCallsInFlight: number;
  readonly maxBytesInFlight: number;
  readonly graphqlIntrospection: boolean;
  readonly graphqlBatching: boolean;
  readonly demo: boolean;
  /** The file with the only operations that may run. If undefined, all operations may run. */
  readonly graphqlOperations: string | undefined;
  readonly publicUrl: string | undefined;
  /** Undefined if this server sends no mail. */
  readonly mail: { smtpUrl: string; from: string } | undefined;
  readonly shutdownTimeoutMs: number;
  readonly logLevel: string;
}

/** The process cannot start with this configuration. The message tells the operator what to change. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

const DEFAULT_DATABASE_URL = 'sqlite:./data/tollgate.db';

const whole = (name: string, min: number, max: number, fallback: number) =>
  z
    .string()
    .default(String(fallback))
    .transform(Number)
    .refine((value) => Number.isInteger(value) && value >= min && value <= max, `${name} must be a whole number from ${min} to ${max}.`);

const SECRET_LENGTH = 32;

const secret = (name: string) => z.string().min(SECRET_LENGTH, `${name} must be at least ${SECRET_LENGTH} characters long.`);

const list = (separator: string | RegExp) =>
  z
    .string()
    .default('')
    .transform((text) => text.split(separator).map((part) => part.trim()).filter((part) => part !== ''));

const environment = z.object({
  NODE_ENV: z.string().default('development'),
  DATABASE_URL: z.string().default(DEFAULT_DATABASE_URL),
  HOST: z.string().default('127.0.0.1'),
  PORT: whole('PORT', 0, 65_535, 4000),
  ROOT_KEY: secret('ROOT_KEY')
    .regex(/^[\x20-\x7e]*$/, 'ROOT_KEY must contain only printable ASCII characters, because clients send it in a header.')
    .optional(),
  KEY_PEPPER: secret('KEY_PEPPER').optional(),
  UPSTREAM_SIGNING_SECRET: list(/\s+/).refine(
    (secrets) => secrets.every(isSigningSecret),
    'UPSTREAM_SIGNING_SECRET must be whsec_ followed by the base64 of 24 to 64 bytes. Separate several secrets with spaces.',
  ),
  TRUSTED_PROXIES: list(',').refine(
    (blocks) => blocks.every((block) => ipaddr.isValid(block) || ipaddr.isValidCIDR(block)),
    'TRUSTED_PROXIES must be addresses or CIDR blocks, separated by commas.',
  ),
  CORS_ORIGINS: list(',').refine(
    (origins) => origins.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
    'CORS_ORIGINS must be origins such as https://admin.example.com, separated by commas.',
  ),
  BODY_LIMIT_BYTES: whole('BODY_LIMIT_BYTES', 1_024, 268_435_456, 10_485_760),
  MAX_CALLS_IN_FLIGHT: whole('MAX_CALLS_IN_FLIGHT', 4, 1_000_000, 8_192),
  MAX_BYTES_IN_FLIGHT: whole('MAX_BYTES_IN_FLIGHT', 10_485_760, 1_099_511_627_776, 536_870_912),
  GRAPHQL_INTROSPECTION: z.enum(['true', 'false'], 'GRAPHQL_INTROSPECTION must be true or false.').default('true'),
  GRAPHQL_BATCHING: z.enum(['true', 'false'], 'GRAPHQL_BATCHING must be true or false.').default('false'),
  DEMO: z.enum(['true', 'false'], 'DEMO must be true or false.').optional(),
  GRAPHQL_OPERATIONS: z.string().optional(),
  PUBLIC_URL: z
    .string()
    .refine(isPublicUrl, 'PUBLIC_URL must be http:// or https:// and a host, such as https://api.example.com, without a path.')
    .optional(),
  SMTP_URL: z
    .url({ protocol: /^smtps?$/, error: 'SMTP_URL must be smtp://user:password@host:port, or smtps: for TLS from the start.' })
    .optional(),
  MAIL_FROM: z
    .string()
    .regex(/^[^\r\n]*[^\s@<>]+@[^\s@<>]+>?$/, 'MAIL_FROM must be an address such as Tollgate <tollgate@example.com>.')
    .optional(),
  SHUTDOWN_TIMEOUT_MS: whole('SHUTDOWN_TIMEOUT_MS', 0, 3_600_000, 35_000),
  LOG_LEVEL: z
    .enum(
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      'LOG_LEVEL must be fatal, error, warn, info, debug, trace or silent.',
    )
    .default('info'),
});

/**
 * Reads the configuration from `env`. Throws a ConfigError that names every invalid variable. Removes blanks and line ends around values,
 * because files of secrets and of variables often end with one. Empty variables count as unset.
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const trimmed = Object.entries(env).map(([name, value]) => [name, value?.trim()] as const);
  const given = Object.fromEntries(trimmed.filter(([, value]) => value !== ''));
  const parsed = environment.safeParse(given);
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map((issue) => issue.message).join(' '));
  const values = parsed.data;
  const database = parseDatabaseUrl(values.DATABASE_URL);
  if (values.NODE_ENV === 'production' && (!values.ROOT_KEY || !values.KEY_PEPPER)) {
    throw new ConfigError('With NODE_ENV=production both ROOT_KEY and KEY_PEPPER must be set, each to at least 32 random characters.');
  }
  if (database.type === 'mysql' && !values.KEY_PEPPER) {
    throw new ConfigError('On MySQL or MariaDB KEY_PEPPER must be set to at least 32 random characters, the same for every process.');
  }
  const { SMTP_URL: smtpUrl, MAIL_FROM: from } = values;
  if (smtpUrl !== undefined && from === undefined)
    throw new ConfigError('With SMTP_URL also MAIL_FROM must be set: the sender address of mails.');
  if (values.MAX_BYTES_IN_FLIGHT < values.BODY_LIMIT_BYTES) {
    throw new ConfigError('MAX_BYTES_IN_FLIGHT must be at least BODY_LIMIT_BYTES. Otherwise the largest bodies could never be accepted.');
  }
  return Object.freeze({
    database,
    host: values.HOST,
    port: values.PORT,
    rootKey: values.ROOT_KEY,
    keyPepper: values.KEY_PEPPER,
    upstreamSigningSecrets: values.UPSTREAM_SIGNING_SECRET,
    trustedProxies: values.TRUSTED_PROXIES,
    corsOrigins: values.CORS_ORIGINS,
    bodyLimitBytes: values.BODY_LIMIT_BYTES,
    maxCallsInFlight: values.MAX_CALLS_IN_FLIGHT,
    maxBytesInFlight: values.MAX_BYTES_IN_FLIGHT,
    graphqlIntrospection: values.GRAPHQL_INTROSPECTION === 'true',
    graphqlBatching: values.GRAPHQL_BATCHING === 'true',
    demo: values.DEMO === undefined ? values.DATABASE_URL === DEFAULT_DATABASE_URL : values.DEMO === 'true',
    graphqlOperations: values.GRAPHQL_OPERATIONS,
    publicUrl: values.PUBLIC_URL && new URL(values.PUBLIC_URL).origin,
    mail: smtpUrl !== undefined && from !== undefined ? { smtpUrl, from } : undefined,
    shutdownTimeoutMs: values.SHUTDOWN_TIMEOUT_MS,
    logLevel: values.LOG_LEVEL,
  });
}

/** The warning at a start without PUBLIC_URL, if clients probably use another address than HOST. Otherwise undefined. */
export function warningOf({ host, database, publicUrl }: Config): string | undefined {
  const isUnspecified = /^[0:.]+$/.test(host);
  if (publicUrl !== undefined || (!isUnspecified && database.type !== 'mysql')) return undefined;
  const reason = isUnspecified
    ? `HOST=${host} is not an address that clients can call`
    : 'several processes may run, each with a different address';
  return (
    `PUBLIC_URL is not set, and ${reason}. Set it to the URL that clients use for this server, such as https://api.example.com. ` +
    'Until then each process uses its own address for the OAuth issuer, for links in mails and for cookies.'
  );
}

/** The pepper in the text of a file, without blanks and line ends around it. Throws a ConfigError if it is too short. */
export function pepperIn(path: string, text: string): string {
  const value = text.trim();
  if (value.length < SECRET_LENGTH) {
    const rule = `must hold the pepper of its database, at least ${SECRET_LENGTH} characters`;
    throw new ConfigError(`The file ${path} ${rule}. Restore it from a backup.`);
  }
  return value;
}

/**
 * Parses `mysql://user:password@host:port/database`, with `?ssl=true` for an encrypted connection, or `sqlite:PATH`. Throws a ConfigError
 * for anything else.
 */
export function parseDatabaseUrl(text: string): DatabaseSettings {
  if (text.startsWith('sqlite:')) {
    const path = text.slice('sqlite:'.length);
    if (path === '' || path.startsWith(':memory:')) {
      throw new ConfigError('DATABASE_URL must name a file after sqlite:, because a database in memory would lose its bills.');
    }
    return { type: 'sqlite', path };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const database = url ? decoded(url.pathname.slice(1)) : '';
  if (url?.protocol !== 'mysql:' || url.hostname === '' || database === '') {
    throw new ConfigError('DATABASE_URL must be mysql://user:password@host:port/database or sqlite:PATH.');
  }
  const options = [...url.searchParams];
  if (options.some(([name, value]) => name !== 'ssl' || (value !== 'true' && value !== 'false'))) {
    throw new ConfigError('DATABASE_URL accepts only the option ssl=true, which encrypts the connection and checks the certificate.');
  }
  return {
    type: 'mysql',
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 3306 : Number(url.port),
    user: decoded(url.username),
    password: decoded(url.password),
    database,
    ssl: url.searchParams.get('ssl') === 'true',
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ConfigError('DATABASE_URL must be a valid URL. Write each % in a name or a password as %25.');
  }
}

/** Allows no path, because links and forms add absolute paths, and because the origin of a page has no path. */
function isPublicUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, origin, href } = new URL(text);
  return /^https?:$/.test(protocol) && href === `${origin}/`;
}

function isSigningSecret(text: string): boolean {
  if (!/^whsec_[A-Za-z0-9+/]+={0,2}$/.test(text)) return false;
  const bytes = Buffer.from(text.slice('whsec_'.length), 'base64').length;
  return bytes >= 24 && bytes <= 64;
}
