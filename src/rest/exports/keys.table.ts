import { In } from 'typeorm';
import { z } from 'zod';
import { invalid } from '../../errors';
import { windowsOf, type PlaceByAge } from '../../db/windows';
import { ApiKey, KeyStatus } from '../../keys/key.entity';
import { gracesOf, keysOf, previousSecretWorksUntil, statusOf, type ApiKeyFilter, type KeyScope } from '../../keys/key.queries';
import { idRule } from '../../lib/rules';
import { lastUsesOf } from '../../requests/request-log.queries';
import { Project } from '../../tenancy/project.entity';
import { anyOfThese, commonParameters, endOf, environment, flag, instant, mapped, none, searched, text, textOrNull, time, type ExportedTable, type RowsRequest } from './table';

const query = z.strictObject({
  ...commonParameters,
  name: searched.meta({ description: 'With this text in their name, A to Z in either case.' }).optional(),
  hint: searched.meta({ description: 'With this text in their hint, such as the last four characters of a secret.' }).optional(),
  status: anyOfThese(z.enum(KeyStatus, `must be one of ${Object.keys(KeyStatus).join(', ')}`)).meta({ description: 'As they are when the export begins.' }).optional(),
  environment: environment.optional(),
  projectId: anyOfThese(idRule).meta({ description: 'Of these projects.' }).optional(),
  createdByUserId: anyOfThese(idRule).meta({ description: 'Minted by these people.' }).optional(),
  used: flag.meta({ description: 'Whether a call of theirs was ever logged.' }).optional(),
  lastUsedFrom: instant.meta({ description: 'Whose lastUsedAt is this time or after it.' }).optional(),
  lastUsedTo: instant.meta({ description: 'Whose lastUsedAt is before this time.' }).optional(),
});
type Query = z.output<typeof query>;

const line = z
  .object({
    id: text,
    projectId: text,
    name: text,
    environment,
    hint: text.meta({ description: 'Enough to recognise the secret and too little to use it.' }),
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
  .meta({ id: 'ExportedKey' });

/** The keys of a workspace: never a secret, never a digest. */
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
  return keys.map((key) => {
    const { id, projectId, name, hint, permissions, roleId, allowedIps, expiresAt, revokedAt, revokedReason, rotatedAt, createdAt } = key;
    const status = statusOf(key, projectById.get(projectId) as Project, startedAt);
    const previousSecretValidUntil = previousSecretWorksUntil(key, graces.get(id), startedAt);
    const lastUsedAt = lastUses.get(id) ?? null;
    return { id, projectId, name, environment: key.environment, hint, permissions, roleId, allowedIps, status, expiresAt, revokedAt, revokedReason, rotatedAt, previousSecretValidUntil, lastUsedAt, createdAt };
  });
}

/** The shortest list that has all that is wanted; undefined where nothing can be. */
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
