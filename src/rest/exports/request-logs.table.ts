import { z } from 'zod';
import { invalid } from '../../errors';
import type { AdministrativePermission } from '../../access/permissions';
import type { CredentialKind } from '../../access/secret';
import { windowsOf, type PlaceByAge } from '../../db/windows';
import { ApiKey } from '../../keys/key.entity';
import { idRule } from '../../lib/rules';
import { RequestLog, RequestOutcome } from '../../requests/request-log.entity';
import { LOOK_BACK_MS } from '../../requests/request-log.feed';
import { requestLogsOf, type RequestLogFilter, type RequestLogScope } from '../../requests/request-log.queries';
import { Project } from '../../tenancy/project.entity';
import {
  amount,
  anyOfThese,
  commonParameters,
  endOf,
  environment,
  instant,
  mapped,
  microCredits,
  none,
  text,
  textOrNull,
  time,
  type ExportedTable,
  type RowsRequest,
  type Sees,
} from './table';

const outcomes = anyOfThese(z.enum(RequestOutcome, `must be one of ${Object.keys(RequestOutcome).join(', ')}`));

const query = z.strictObject({
  ...commonParameters,
  requestId: text.max(64, 'must be at most 64 characters').meta({ description: 'Calls with this requestId in their answer.' }).optional(),
  keyId: anyOfThese(idRule).meta({ description: 'Calls with these keys.' }).optional(),
  projectId: anyOfThese(idRule).meta({ description: 'Calls in these projects.' }).optional(),
  environment: environment.optional(),
  service: anyOfThese(text).meta({ description: 'Calls of these services, such as `face`.' }).optional(),
  action: anyOfThese(text).meta({ description: 'Calls of these actions, by name.' }).optional(),
  outcome: outcomes.meta({ description: 'Calls with these outcomes.' }).optional(),
  errorCode: anyOfThese(text).meta({ description: 'Calls with these error codes.' }).optional(),
  ip: anyOfThese(text).meta({ description: 'Calls from these addresses, in any notation.' }).optional(),
  minChargedMicroCredits: amount.meta({ description: 'Calls that cost at least this many micro-credits.' }).optional(),
  maxChargedMicroCredits: amount.meta({ description: 'Calls that cost at most this many micro-credits.' }).optional(),
  from: instant.meta({ description: 'Calls at or after this time.' }).optional(),
  to: instant.meta({ description: 'Calls before this time.' }).optional(),
});
type Query = z.output<typeof query>;

const line = z
  .object({
    id: text,
    requestId: text,
    projectId: text,
    keyId: textOrNull.meta({ description: 'Key of the call. Null for other credentials, or without the permission read.keys.' }),
    environment,
    service: text,
    action: text,
    outcome: z.enum(RequestOutcome),
    errorCode: textOrNull,
    httpStatus: z.int().nullable(),
    chargedMicroCredits: microCredits('Price charged for the call.'),
    actionMs: z.number().nullable(),
    totalMs: z.number().nullable(),
    ip: textOrNull,
    userAgent: textOrNull,
    createdAt: time,
    serviceAccountId: textOrNull.meta({
      description: 'Service account of the call. Null for other credentials, or without the permission read.keys.',
    }),
    consentId: textOrNull.meta({
      description: 'Consent that the calling application used. Null for other credentials, or without the permission read.members.',
    }),
    heldMicroCredits: microCredits('Credits that the call reserved. Null for calls of an older version.').nullable(),
    shortfallMicroCredits: microCredits('Part of the price that was not charged, because the budget had no more.'),
    usage: z.array(text).meta({ description: 'Quantities that the call used, such as `input_tokens=12`.' }),
    usageMissing: z.boolean().meta({ description: 'Whether the action has prices by unit and the call reported no quantity of them.' }),
    subject: textOrNull.meta({ description: "The seller's name for the user behind the call." }),
  })
  .meta({
    id: 'ExportedRequestLog',
    examples: [
      {
        id: 'log_0VKq4D92F6gB1uSk9Mv4Yz',
        requestId: '019abf2e-6f2c-7cc3-98c4-dc0c0c07398f',
        projectId: 'prj_0VKq3Zb0A5nJ8rWx3Lp7Te',
        keyId: 'key_0VKq3Zb1M8fD2sYt6Hc0Qw',
        environment: 'LIVE',
        service: 'demo',
        action: 'demo.echo',
        outcome: 'SUCCEEDED',
        errorCode: null,
        httpStatus: 200,
        chargedMicroCredits: 1_000,
        actionMs: 0.4,
        totalMs: 3.2,
        ip: '192.0.2.7',
        userAgent: 'curl/8.14.1',
        createdAt: '2026-11-21T09:30:00.000Z',
        serviceAccountId: null,
        consentId: null,
        heldMicroCredits: 1_000,
        shortfallMicroCredits: 0,
        usage: [],
        usageMissing: false,
        subject: null,
      },
    ],
  });

function lineOf(log: RequestLog, sees: Sees): z.output<typeof line> {
  const credentialOf = (kind: CredentialKind, permission: AdministrativePermission) =>
    log.credentialKind === kind && sees(permission) ? log.credentialId : null;
  return {
    id: log.id,
    requestId: log.requestId,
    projectId: log.projectId,
    keyId: credentialOf('API_KEY', 'read.keys'),
    environment: log.environment,
    service: log.service,
    action: log.action,
    outcome: log.outcome,
    errorCode: log.errorCode,
    httpStatus: log.httpStatus,
    chargedMicroCredits: log.chargedMicroCredits,
    actionMs: log.actionMs,
    totalMs: log.totalMs,
    ip: log.ip,
    userAgent: log.userAgent,
    createdAt: log.createdAt,
    serviceAccountId: credentialOf('SERVICE_ACCOUNT', 'read.keys'),
    consentId: credentialOf('OAUTH_CLIENT', 'read.members'),
    heldMicroCredits: log.heldMicroCredits,
    shortfallMicroCredits: log.shortfallMicroCredits,
    usage: Object.entries(log.usage ?? {}).map(([unit, quantity]) => `${unit}=${quantity}`),
    usageMissing: log.usageMissing,
    subject: log.subject,
  };
}

/** The calls of a workspace. */
export const requestLogsTable: ExportedTable<typeof query> = {
  name: 'request-logs',
  summary: 'Calls of a workspace, oldest first. Calls of the last 45 seconds are in the next export, because some may not be logged yet',
  permission: 'read.logs',
  besides: ['read.keys', 'read.members'],
  query,
  line,
  async rows(request) {
    const { reader, query, sees } = request;
    const [scope, after] = [await scopeOf(request), await placeOf(request)];
    if (!scope) return none();
    const filter: RequestLogFilter = { ...query, from: null, to: null }; // the windows filter by time
    const newestMs = request.startedAt.getTime() - LOOK_BACK_MS; // otherwise an export that continues after this one would miss late calls
    const windows = windowsOf({
      list: () => requestLogsOf(reader, scope, {}),
      wanted: () => requestLogsOf(reader, scope, filter),
      minor: 'id',
      after,
      from: query.from,
      to: new Date(Math.min(endOf(request).getTime(), newestMs)),
    });
    return mapped(windows, (logs) => logs.map((log) => lineOf(log, sees)));
  },
};

/** Returns the smallest indexed list that contains all wanted rows, or undefined if there are none. */
async function scopeOf({ reader, workspaceId, query: { keyId, projectId } }: RowsRequest<Query>): Promise<RequestLogScope | undefined> {
  const key = keyId?.length === 1 ? keyId[0] : undefined;
  const project = projectId?.length === 1 ? projectId[0] : undefined;
  if (key !== undefined) return (await reader.existsBy(ApiKey, { id: key, workspaceId })) ? { credentialId: key } : undefined;
  if (project !== undefined) return (await reader.existsBy(Project, { id: project, workspaceId })) ? { projectId: project } : undefined;
  return { workspaceId };
}

async function placeOf({ reader, workspaceId, query: { after } }: RowsRequest<Query>): Promise<PlaceByAge | undefined> {
  if (after === undefined) return undefined;
  const log = await reader.findOneBy(RequestLog, { id: after, workspaceId });
  if (!log) throw invalid({ path: ['after'], message: 'is not the id of a call of this workspace' });
  return { createdAtMs: log.createdAt.getTime(), minor: log.id };
}
