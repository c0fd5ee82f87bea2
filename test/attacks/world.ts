import { AdminClient, ALLOCATE, CREATE_ACTION, CREATE_PROJECT, CREATE_WORKSPACE, MINT_KEY, TOP_UP } from '../faults/admin-client';

/** A tenant with one project, a key that calls there, and a key with an owner's rights. */
export interface Tenant {
  workspaceId: string;
  projectId: string;
  secret: string;
  ownerSecret: string;
}

/** The action that both tenants may call. Its params set how long it takes: `{ "waitMs": 1000 }`. */
export const SHARED_ACTION = { service: 'attacks', name: 'attacks.wait' } as const;

const BUDGET = 1_000_000_000;
const WIDE_LIMIT = { sustainedRps: 10_000, burst: 10_000 };
const SHARED_TIMEOUT_MS = 10_000;
/** Service accounts of the attacker, and the projects of each of them: the maximum. */
const SERVICE_ACCOUNTS = 20;
const PROJECTS = 100;

const CREATE_SERVICE_ACCOUNT =
  'mutation ($input: CreateServiceAccountInput!) { createServiceAccount(input: $input) { serviceAccount { id } } }';

type Insist = <T>(query: string, input: object) => Promise<T>;

/** Creates two tenants and the action that they share. */
export async function buildWorld(url: string, rootKey: string, upstreamUrl: string): Promise<{ attacker: Tenant; neighbour: Tenant }> {
  const admin = new AdminClient([url], rootKey, () => false);
  const insist: Insist = async <T>(query: string, input: object) => {
    const answer = await admin.insist<T>(0, query, input);
    if (answer.kind === 'data') return answer.data;
    throw new Error(`The attacks could not be prepared: ${JSON.stringify(answer)}`);
  };
  try {
    await insist(CREATE_ACTION, {
      ...SHARED_ACTION,
      permission: SHARED_ACTION.name,
      priceMicroCredits: 1,
      timeoutMs: SHARED_TIMEOUT_MS,
      upstreamUrl,
    });
    const attacker = await buildTenant(insist, 'attacker');
    const neighbour = await buildTenant(insist, 'neighbour');
    await fillWorkspace(insist, attacker.workspaceId);
    return { attacker, neighbour };
  } finally {
    await admin.close();
  }
}

async function buildTenant(insist: Insist, slug: string): Promise<Tenant> {
  const created = await insist<{ createWorkspace: { workspace: { id: string } } }>(CREATE_WORKSPACE, {
    name: slug,
    slug,
    keyPrefix: 'acme',
  });
  const workspaceId = created.createWorkspace.workspace.id;
  await insist(TOP_UP, { workspaceId, amount: BUDGET, reference: `top-up-${slug}` });
  const projectId = await buildProject(insist, workspaceId, `${slug}-main`);
  await insist(ALLOCATE, { projectId, amount: BUDGET, reference: `allocation-${slug}` });
  const mint = async (input: object): Promise<string> => {
    const minted = await insist<{ mintKey: { secret: string } }>(MINT_KEY, { projectId, name: 'Key', environment: 'LIVE', ...input });
    return minted.mintKey.secret;
  };
  return {
    workspaceId,
    projectId,
    secret: await mint({ permissions: ['demo.*', 'attacks.*'] }),
    ownerSecret: await mint({ permissions: [], roleId: 'rol_owner' }),
  };
}

async function buildProject(insist: Insist, workspaceId: string, slug: string): Promise<string> {
  const created = await insist<{ createProject: { project: { id: string } } }>(CREATE_PROJECT, {
    workspaceId,
    name: slug,
    slug,
    rateLimit: WIDE_LIMIT,
  });
  return created.createProject.project.id;
}

/** Creates service accounts with a hundred projects each, so that a small query has a large answer. */
async function fillWorkspace(insist: Insist, workspaceId: string): Promise<void> {
  const projectIds = await Promise.all(
    Array.from({ length: PROJECTS }, (_, number) => buildProject(insist, workspaceId, `many-${number}`)),
  );
  const build = (number: number) =>
    insist(CREATE_SERVICE_ACCOUNT, { workspaceId, name: `Robot ${number}`, permissions: ['demo.*'], projectIds, rotationDays: 90 });
  await Promise.all(Array.from({ length: SERVICE_ACCOUNTS }, (_, number) => build(number)));
}
