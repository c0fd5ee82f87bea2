import { randomBytes } from 'node:crypto';
import { systemAuthority } from '../../src/access/authority';
import type { Action } from '../../src/actions/action.entity';
import type { ApiKey } from '../../src/keys/key.entity';
import type { ServiceAccount } from '../../src/service-accounts/service-account.entity';
import { Environment } from '../../src/tenancy/environment';
import type { Project } from '../../src/tenancy/project.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from './app';

// Each factory makes the parents that it is not given.

/** Who does what the tests prepare. */
export const ORIGIN = systemAuthority('tests');

const unique = (): string => randomBytes(6).toString('hex');

/** An id of the same kind that never was. */
export const ghostOf = (id: string): string => `${id.split('_', 1)[0]}_000000000neverWasHere0`;

type Services = Pick<TestApp, 'services'>;

export function buildWorkspace({ services }: Services, values: Partial<{ name: string; slug: string; keyPrefix: string }> = {}): Promise<Workspace> {
  return services.workspaces.create(ORIGIN, { name: 'Workspace', slug: `ws-${unique()}`, keyPrefix: 'acme', ...values });
}

export interface ProjectValues {
  workspace?: Workspace;
  /** Its budget in micro-credits; 1,000,000 where absent. */
  budget?: number;
  rateLimit?: { sustainedRps: number; burst: number };
}

/** A project with a budget, which its workspace's wallet was topped up for. Its limit is one that no test meets by accident. */
export async function buildProject(app: Services, values: ProjectValues = {}): Promise<Project> {
  const { projects, wallets } = app.services;
  const { id: workspaceId } = values.workspace ?? (await buildWorkspace(app));
  const rateLimit = values.rateLimit ?? { sustainedRps: 100_000, burst: 100_000 };
  const project = await projects.create(ORIGIN, { workspaceId, name: 'Project', slug: `prj-${unique()}`, rateLimit });
  const amount = values.budget ?? 1_000_000;
  if (amount > 0) {
    await wallets.topUp(ORIGIN, { workspaceId, amount, reference: unique() });
    await wallets.allocate(ORIGIN, { projectId: project.id, amount });
  }
  return project;
}

export interface KeyValues extends ProjectValues {
  project?: Project;
  environment?: Environment;
  permissions?: string[];
  roleId?: string;
  allowedIps?: string[];
  expiresAt?: Date;
}

/** A key that may run the demo actions, with its secret. */
export async function buildKey(app: Services, values: KeyValues = {}): Promise<{ key: ApiKey; secret: string; project: Project }> {
  const project = values.project ?? (await buildProject(app, values));
  const { environment = Environment.LIVE, permissions = ['demo.*'], roleId, allowedIps = [], expiresAt } = values;
  const minted = await app.services.keys.mint(ORIGIN, { projectId: project.id, name: 'Key', environment, permissions, roleId, allowedIps, expiresAt });
  return { ...minted, project };
}

export interface ServiceAccountValues extends ProjectValues {
  projects?: Project[];
  permissions?: string[];
  roleId?: string;
  rotationDays?: number;
}

/** A service account that may run the demo actions in one project, or in those given, with its secret. */
export async function buildServiceAccount(app: Services, values: ServiceAccountValues = {}): Promise<{ account: ServiceAccount; secret: string; projects: Project[] }> {
  const workspace = values.workspace ?? (values.projects ? undefined : await buildWorkspace(app));
  const projects = values.projects ?? [await buildProject(app, { ...values, workspace })];
  const workspaceId = workspace?.id ?? (projects[0]?.workspaceId as string);
  const { permissions = ['demo.*'], roleId, rotationDays = 90 } = values;
  const created = await app.services.serviceAccounts.create(ORIGIN, { workspaceId, name: 'Robot', permissions, roleId, projectIds: projects.map(({ id }) => id), rotationDays });
  return { account: created.serviceAccount, secret: created.secret, projects };
}

/** An action of a service of its own, at an upstream. */
export function buildAction({ services }: Services, values: { upstreamUrl: string; priceMicroCredits?: number; timeoutMs?: number; passStatuses?: number[] }): Promise<Action> {
  const name = `face.${unique()}`;
  return services.actions.create(ORIGIN, { service: 'face', name, permission: name, priceMicroCredits: 1_000, ...values });
}
