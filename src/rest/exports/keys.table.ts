import { In } from 'typeorm';
import { z } from 'zod';
import { invalid } from '../../errors';
import { windowsOf, type PlaceByAge } from '../../db/windows';
import { ApiKey, KeyStatus } from '../../keys/key.entity';
import { gracesOf, keysOf, previousSecretWorksUntil, statusOf, type ApiKeyFilter, type KeyScope } from '../../keys/key.queries';
import { idRule } from '../../lib/rules';
import { lastUsesOf } from '../../requests/request-log.queries';
import { Project } from '../../tenancy/project.entity';
import {
  anyOfThese,
  commonParameters,
  endOf,
  environment,
  flag,
  instant,
  mapped,
  none,
  searched,
  text,
  textOrNull,
  time,
  type ExportedTable,
  type RowsRequest,
} from './table';

const statuses = anyOfThese(z.enum(KeyStatus, `must be one of ${Object.keys(KeyStatus).join(', ')}`));

const query = z.strictObject({
  ...commonParameters,
  name: searched.meta({ description: 'Keys with this text in their name. Ignores the case of A to Z.' }).optional(),
  hint: searched.meta({ description: 'Keys with this text in their hint, such as the last four characters of a secret.' }).optional(),
  status: statuses.meta({ description: 'Keys with these statuses at the start of the export.' }).optional(),
  environment: environment.optional(),
  projectId: anyOfThese(idRule).meta({ description: 'Keys of these projects.' }).optional(),
  createdByUserId: anyOfThese(idRule).meta({ description: 'Keys minted by these people.' }).optional(),
  used: flag.meta({ description: 'true: keys with at least one logged call. false: keys without one.' }).optional(),
  lastUsedFrom: instant.meta({ description: 'Keys with a lastUsedAt at or after this time.' }).optional(),
  lastUsedTo: instant.meta({ description: 'Keys with a lastUsedAt before this time.' }).optional(),
});
type Query = z.output<typeof query>;

const line = z
  .object({
    id: text,
    projectId: text,
    name: text,
    environment,
    hint: text.meta({ description: 'First and last characters of the secret, to recognise it.' }),
    permissions: z.array(text),
    roleId: textOrNull,
    allowedIps: z.array(text),
    status: z.enum(KeyStatus),
    expiresAt: time.nullable(),
    revokedAt: time.nullable(),
    revokedReason: textOrNull,
    rotatedAt: time.nullable(),
    previousSecretValidUntil: time.nullable(),
    lastUsedAt: time.nullable(),
    createdAt: time,
  })
  .meta({
    id: 'ExportedKey',
    examples: [
      {
        id: 'key_0VKq3Zb1M8fD2sYt6Hc0Qw',
        projectId: 'prj_0VKq3Zb0A5nJ8rWx3Lp7Te',
        name: 'Web shop',
        environment: 'LIVE',
        hint: 'acme_live_...x7Qp',
        permissions: ['demo.echo'],
        roleId: null,
        allowedIps: [],
        status: 'ACTIVE',
        expiresAt: null,
        revokedAt: null,
        revokedReason: null,
        rotatedAt: null,
        previousSecretValidUntil: null,
        lastUsedAt: '2026-11-21T09:30:00.000Z',
        createdAt: '2026-11-20T16:05:12.480Z',
      },
    ],
  });

/** The keys of a workspace, without secrets and digests. */
export const keysTable: ExportedTable<typeof query> = {
  name: 'keys',
  summary: 'The keys of a workspace, oldest first',
  permission: 'read.keys',
  besides: [],
  query,
  line,
  async rows(request) {
    const { reader, query, startedAt } = request;
    const [scope, after] = [await scopeOf(request), await placeOf(request)];
    if (!scope) return none();
    const filter: ApiKeyFilter = query;
    const windows = windowsOf({
      list: () => keysOf(reader, scope, {}, startedAt),
      wanted: () => keysOf(reader, scope, filter, startedAt),
      minor: 'id',
      after,
      to: endOf({ startedAt, query: {} }),
    });
    return mapped(windows, (keys) => linesOf(keys, request));
  },
};

async function linesOf(keys: ApiKey[], { reader, startedAt }: RowsRequest<Query>): Promise<z.output<typeof line>[]> {
  const ids = keys.map(({ id }) => id);
  const projects = await reader.findBy(Project, { id: In([...new Set(keys.map(({ projectId }) => projectId))]) });
  const projectById = new Map(projects.map((project) => [project.id, project]));
  const graces = await gracesOf(ids, reader);
  const lastUses = await lastUsesOf(ids, reader);
  return keys.map((key) => ({
    id: key.id,
    projectId: key.projectId,
    name: key.name,
    environment: key.environment,
    hint: key.hint,
    permissions: key.permissions,
    roleId: key.roleId,
    allowedIps: key.allowedIps,
    status: statusOf(key, projectById.get(key.projectId) as Project, startedAt),
    expiresAt: key.expiresAt,
    revokedAt: key.revokedAt,
    revokedReason: key.revokedReason,
    rotatedAt: key.rotatedAt,
    previousSecretValidUntil: previousSecretWorksUntil(key, graces.get(key.id), startedAt),
    lastUsedAt: lastUses.get(key.id) ?? null,
    createdAt: key.createdAt,
  }));
}

/** Returns the smallest indexed list that contains all wanted rows, or undefined if there are none. */
async function scopeOf({ reader, workspaceId, query: { projectId } }: RowsRequest<Query>): Promise<KeyScope | undefined> {
  if (projectId?.length !== 1) return { workspaceId };
  const scope = { projectId: projectId[0] as string };
  return (await reader.existsBy(Project, { id: scope.projectId, workspaceId })) ? scope : undefined;
}

async function placeOf({ reader, workspaceId, query: { after } }: RowsRequest<Query>): Promise<PlaceByAge | undefined> {
  if (after === undefined) return undefined;
  const key = await reader.findOneBy(ApiKey, { id: after, workspaceId });
  if (!key) throw invalid({ path: ['after'], message: 'is not the id of a key of this workspace' });
  return { createdAtMs: key.createdAt.getTime(), minor: key.id };
}
