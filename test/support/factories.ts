import { randomBytes } from 'node:crypto';
import { systemAuthority } from '../../src/access/authority';
import type { Action } from '../../src/actions/action.entity';
import type { ApiKey } from '../../src/keys/key.entity';
import type { Route } from '../../src/routes/route.entity';
import type { ServiceAccount } from '../../src/service-accounts/service-account.entity';
import { Environment } from '../../src/tenancy/environment';
import type { Project } from '../../src/tenancy/project.entity';
import type { Workspace } from '../../src/tenancy/workspace.entity';
import type { TestApp } from './app';

// Each factory creates the parents that its caller does not pass.

/** The authority that prepares the data of the tests. */
export const ORIGIN = systemAuthority('tests');

const unique = (): string => randomBytes(6).toString('hex');

/** An id of the same kind that does not exist. */
export const ghostOf = (id: string): string => `${id.split('_', 1)[0]}_000000000neverWasHere0`;

type Services = Pick<TestApp, 'services'>;

type WorkspaceValues = Partial<{ name: string; slug: string; keyPrefix: string }>;

export function buildWorkspace({ services }: Services, values: WorkspaceValues = {}): Promise<Workspace> {
  return services.workspaces.create(ORIGIN, { name: 'Workspace', slug: `ws-${unique()}`, keyPrefix: 'acme', ...values });
}

export interface ProjectValues {
  workspace?: Workspace;
  /** Its budget in micro-credits; 1,000,000 by default. */
  budget?: number;
  rateLimit?: { sustainedRps: number; burst: number };
}

/** Creates a project with a budget from its workspace's wallet. The default rate limit is too high to be reached by accident. */
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

/** Creates a key that may run the demo actions. Returns it with its secret. */
export async function buildKey(app: Services, values: KeyValues = {}): Promise<{ key: ApiKey; secret: string; project: Project }> {
  const project = values.project ?? (await buildProject(app, values));
  const { environment = Environment.LIVE, permissions = ['demo.*'], roleId, allowedIps = [], expiresAt } = values;
  const input = { projectId: project.id, name: 'Key', environment, permissions, roleId, allowedIps, expiresAt };
  const minted = await app.services.keys.mint(ORIGIN, input);
  return { ...minted, project };
}

export interface ServiceAccountValues extends ProjectValues {
  projects?: Project[];
  permissions?: string[];
  roleId?: string;
  rotationDays?: number;
}

/** Creates a service account that may run the demo actions in `values.projects`, by default in one new project. */
export async function buildServiceAccount(
  app: Services,
  values: ServiceAccountValues = {},
): Promise<{ account: ServiceAccount; secret: string; projects: Project[] }> {
  const workspace = values.workspace ?? (values.projects ? undefined : await buildWorkspace(app));
  const projects = values.projects ?? [await buildProject(app, { ...values, workspace })];
  const workspaceId = workspace?.id ?? (projects[0]?.workspaceId as string);
  const { permissions = ['demo.*'], roleId, rotationDays = 90 } = values;
  const projectIds = projects.map(({ id }) => id);
  const input = { workspaceId, name: 'Robot', permissions, roleId, projectIds, rotationDays };
  const created = await app.services.serviceAccounts.create(ORIGIN, input);
  return { account: created.serviceAccount, secret: created.secret, projects };
}

export type ActionValues = Partial<Parameters<TestApp['services']['actions']['create']>[1]>;

/** Creates an action of the service `face` with a unique name. It costs 1,000 micro-credits by default. */
export function buildAction({ services }: Services, values: ActionValues): Promise<Action> {
  const name = `face.${unique()}`;
  return services.actions.create(ORIGIN, { service: 'face', name, permission: name, priceMicroCredits: 1_000, ...values });
}

type RouteValues = Partial<Parameters<TestApp['services']['routes']['create']>[1]> & { actionId: string };

/** Creates a route with a unique path, by default to an upstream that does not exist. */
export function buildRoute({ services }: Services, values: RouteValues): Promise<Route> {
  return services.routes.create(ORIGIN, { path: `/${unique()}/:id`, upstreamUrl: 'http://upstream.invalid', ...values });
}
