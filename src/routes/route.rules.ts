import { z } from 'zod';
import { expectedVersionRule } from '../db/versions';
import { idRule, unique } from '../lib/rules';
import {
  DEFAULT_IDLE_TIMEOUT_MS,
  DEFAULT_MAX_BODY_BYTES,
  DEFAULT_MAX_DURATION_MS,
  MAX_BILLED_STATUSES,
  MAX_PATH_LENGTH,
  MAX_UPSTREAM_URL_LENGTH,
  MAX_USAGE_SOURCES,
} from './limits';
import { ROUTE_METHODS } from './methods';
import { isOwnPath } from './own-paths';
import { parametersOf, readPath, shapeOf } from './paths';

// What the inputs of createRoute and updateRoute may have.

const HOST_FORM = /^([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])$/;

const hostRule = z
  .string()
  .toLowerCase()
  .refine(
    (host) => host.length <= 253 && HOST_FORM.test(host) && URL.canParse(`http://${host}`) && new URL(`http://${host}`).hostname === host,
    'must be a host name or an IP address without port, such as api.example.com or [::1]; write other letters as xn--',
  );

const methodRule = z
  .string()
  .refine((method) => ROUTE_METHODS.includes(method), `must be in capital letters, and one of ${ROUTE_METHODS.join(', ')}`);
const methodsRule = z.array(methodRule).transform(unique);

/** Returns what is wrong with a path that may have parameters, or undefined. */
function faultOf(path: string): string | undefined {
  if (path.length > MAX_PATH_LENGTH) return `must be at most ${MAX_PATH_LENGTH} characters`;
  if (path.includes('?')) return 'must not contain ?: a route matches every query, so leave it out';
  if (path.includes('(')) return 'must not contain ( because expressions are not possible; write ( itself as %28';
  if (/[{}]/.test(path)) return 'must not contain { or }: write a parameter as /items/:id, and write { itself as %7B';
  if (!/^[\x21-\x7e]*$/.test(path)) return 'must be visible ASCII characters; percent-encode all others as UTF-8';
  const segments = path.split('/');
  const fixed = segments.filter((segment) => !segment.startsWith(':'));
  if (fixed.some((segment) => segment.includes(':'))) return 'must have a parameter as a whole segment, such as /items/:id; write : as %3A';
  if (segments.some((segment) => segment.startsWith(':') && !/^:[A-Za-z][A-Za-z0-9_]{0,39}$/.test(segment)))
    return 'must have parameters with names of 1 to 40 letters, digits and _, a letter first, such as /items/:id';
  if (segments.some((segment, index) => segment.includes('*') && (segment !== '*' || index < segments.length - 1)))
    return 'must have * only as the last segment, such as /files/*; write * itself as %2A';
  const names = parametersOf(path);
  if (unique(names).length < names.length) return 'must not have two parameters with one name';
  const read = readPath(path);
  return 'fault' in read ? read.fault : undefined;
}

const anyPathRule = z.string().superRefine((path, context) => {
  const fault = faultOf(path);
  if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
});

const pathRule = anyPathRule.refine(
  (path) => faultOf(path) !== undefined || !isOwnPath(shapeOf(path)),
  'is a path of Tollgate itself; choose another path',
);

const upstreamUrlRule = z
  .string()
  .max(MAX_UPSTREAM_URL_LENGTH, `must be at most ${MAX_UPSTREAM_URL_LENGTH} characters`)
  .refine((text) => {
    const url = /^[\x21-\x7e]*$/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
    if (url?.protocol !== 'https:' && url?.protocol !== 'http:') return false;
    return url.username === '' && url.password === '' && !/[?#\\]/.test(text);
  }, 'must be an http or https URL without query, fragment or credentials, such as https://upstream.example/base');

const billedStatusesRule = z
  .array(z.string().regex(/^[2-5](xx|[0-9]{2})$/, 'must be a status from 200 to 599, or a class such as 2xx'))
  .min(1, 'must name at least one; for a route without charge, use an action with the price 0')
  .max(MAX_BILLED_STATUSES, `must be at most ${MAX_BILLED_STATUSES}`)
  .transform(unique);

const usageRule = z
  .array(
    z.object({
      unit: z.string().regex(/^[a-z][a-z0-9_]{0,39}$/, 'must be 1 to 40 of a-z, 0-9 and _, a letter first'),
      pointer: z
        .string()
        .max(500, 'must be at most 500 characters')
        .regex(/^(\/([^~]|~[01])*)?$/u, 'must be a JSON pointer such as /usage/tokens; write ~ as ~0 and / in a name as ~1'),
    }),
  )
  .max(MAX_USAGE_SOURCES, `must be at most ${MAX_USAGE_SOURCES}`)
  .refine((sources) => unique(sources.map(({ unit }) => unit)).length === sources.length, 'must name each unit only once');

const maxBodyBytesRule = z
  .int('must be a whole number of bytes')
  .min(0, 'must be 0 or more')
  .max(2_147_483_647, 'must be at most 2,147,483,647');
const millisecondsRule = (max: number) =>
  z
    .int('must be a whole number of milliseconds')
    .min(1_000, 'must be at least 1,000')
    .max(max, `must be at most ${max.toLocaleString('en')}`);
const idleTimeoutRule = millisecondsRule(300_000);
const maxDurationRule = millisecondsRule(3_600_000);

export const createRule = z.object({
  host: hostRule.nullish().transform((host) => host ?? null),
  methods: methodsRule.default([]),
  path: pathRule,
  actionId: idRule,
  upstreamUrl: upstreamUrlRule,
  upstreamPath: anyPathRule.nullish().transform((path) => path ?? null),
  billedStatuses: billedStatusesRule.default(['2xx']),
  usage: usageRule.default([]),
  replayable: z.boolean().default(false),
  passCredential: z.boolean().default(false),
  maxBodyBytes: maxBodyBytesRule.default(DEFAULT_MAX_BODY_BYTES),
  idleTimeoutMs: idleTimeoutRule.default(DEFAULT_IDLE_TIMEOUT_MS),
  maxDurationMs: maxDurationRule.default(DEFAULT_MAX_DURATION_MS),
  passPreflight: z.boolean().default(false),
  enabled: z.boolean().default(true),
});

export const updateRule = z.object({
  id: idRule,
  host: hostRule.nullable().optional(),
  methods: methodsRule.optional(),
  path: pathRule.optional(),
  actionId: idRule.optional(),
  upstreamUrl: upstreamUrlRule.optional(),
  upstreamPath: anyPathRule.nullable().optional(),
  billedStatuses: billedStatusesRule.optional(),
  usage: usageRule.optional(),
  replayable: z.boolean().optional(),
  passCredential: z.boolean().optional(),
  maxBodyBytes: maxBodyBytesRule.optional(),
  idleTimeoutMs: idleTimeoutRule.optional(),
  maxDurationMs: maxDurationRule.optional(),
  passPreflight: z.boolean().optional(),
  enabled: z.boolean().optional(),
  expectedVersion: expectedVersionRule,
});

export const deleteRule = z.object({ id: idRule });
