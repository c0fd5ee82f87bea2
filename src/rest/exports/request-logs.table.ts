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
import { amount, anyOfThese, commonParameters, endOf, environment, instant, mapped, microCredits, none, text, textOrNull, time, type ExportedTable, type RowsRequest, type Sees } from './table';

const query = z.strictObject({
  ...commonParameters,
  requestId: text.max(64, 'must be at most 64 characters').meta({ description: 'As the caller was answered it.' }).optional(),
  keyId: anyOfThese(idRule).meta({ description: 'By these keys.' }).optional(),
  projectId: anyOfThese(idRule).meta({ description: 'Of these projects.' }).optional(),
  environment: environment.optional(),
  service: anyOfThese(text).meta({ description: 'Of these services, such as `face`.' }).optional(),
  action: anyOfThese(text).meta({ description: 'Of these actions, by name.' }).optional(),
  outcome: anyOfThese(z.enum(RequestOutcome, `must be one of ${Object.keys(RequestOutcome).join(', ')}`)).meta({ description: 'That ended so.' }).optional(),
  errorCode: anyOfThese(text).meta({ description: 'With these error codes.' }).optional(),
  ip: anyOfThese(text).meta({ description: 'From these addresses, each in any of its notations.' }).optional(),
  minChargedMicroCredits: amount.meta({ description: 'That cost so much or more.' }).optional(),
  maxChargedMicroCredits: amount.meta({ description: 'That cost so much or less.' }).optional(),
  from: instant.meta({ description: 'Inclusive.' }).optional(),
  to: instant.meta({ description: 'Exclusive.' }).optional(),
});
type Query = z.output<typeof query>;

const line = z
  .object({
    id: text,
    requestId: text,
    projectId: text,
    keyId: textOrNull.meta({ description: 'Null where another kind of credential made it, and without the permission read.keys.' }),
    environment,
    service: text,
    action: text,
    outcome: z.enum(RequestOutcome),
    errorCode: textOrNull,
    httpStatus: z.int().nullable(),
    chargedMicroCredits: microCredits('What it cost.'),
    actionMs: z.number().nullable(),
    totalMs: z.number().nullable(),
    ip: textOrNull,
    userAgent: textOrNull,
    createdAt: time,
    serviceAccountId: textOrNull.meta({ description: 'The same of service accounts.' }),
    consentId: textOrNull.meta({ description: 'What let an application make it; null where another kind of credential did, and without the permission read.members.' }),
  })
  .meta({ id: 'ExportedRequestLog' });

function lineOf(log: RequestLog, sees: Sees): z.output<typeof line> {
  const { id, requestId, projectId, service, action, outcome, errorCode, httpStatus, chargedMicroCredits, actionMs, totalMs, ip, userAgent, createdAt } = log;
  const credentialOf = (kind: CredentialKind, permission: AdministrativePermission) => (log.credentialKind === kind && sees(permission) ? log.credentialId : null);
  const keyId = credentialOf('API_KEY', 'read.keys');
  const serviceAccountId = credentialOf('SERVICE_ACCOUNT', 'read.keys');
  const consentId = credentialOf('OAUTH_CLIENT', 'read.members');
  return { id, requestId, projectId, keyId, environment: log.environment, service, action, outcome, errorCode, httpStatus, chargedMicroCredits, actionMs, totalMs, ip, userAgent, createdAt, serviceAccountId, consentId };
}

/** The calls of a workspace. */
export const requestLogsTable: ExportedTable<typeof query> = {
  name: 'request-logs',
  summary: 'The calls of a workspace, oldest first, but those of the last 45 seconds, which the next export has: until then one may still come between them',
  permission: 'read.logs',
  besides: ['read.keys', 'read.members'],
  query,
  line,
  async rows(request) {
    const { reader, query, sees } = request;
    const [scope, after] = [await scopeOf(request), await placeOf(request)];
    if (!scope) return none();
    const filter: RequestLogFilter = { ...query, from: null, to: null }; // the windows have the times
    const windows = windowsOf({
      list: () => requestLogsOf(reader, scope, {}),
      wanted: () => requestLogsOf(reader, scope, filter),
      minor: 'id',
      after,
      from: query.from,
      to: new Date(Math.min(endOf(request).getTime(), request.startedAt.getTime() - LOOK_BACK_MS)), // or one that comes late would be in no export that goes on after another
    });
    return mapped(windows, (logs) => logs.map((log) => lineOf(log, sees)));
  },
};

/** The shortest list that has all that is wanted; undefined where nothing can be. */
async function scopeOf({ reader, workspaceId, query: { keyId, projectId } }: RowsRequest<Query>): Promise<RequestLogScope | undefined> {
  const [key, project] = [keyId?.length === 1 ? keyId[0] : undefined, projectId?.length === 1 ? projectId[0] : undefined];
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
