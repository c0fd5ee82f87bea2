import type { Doubt, LimitSpan, MoneyMove, RefusedSpan } from './evidence';
import {
  ALLOCATE,
  CREATE_ACTION,
  CREATE_PROJECT,
  CREATE_WORKSPACE,
  MINT_KEY,
  TOP_UP,
  UPDATE_ACTION,
  type AdminAnswer,
  type AdminClient,
} from './admin-client';
import type { FakeUpstream, Manner } from './upstream';

export type Role = 'steady' | 'tight' | 'changing' | 'scarce' | 'doomed' | 'probe' | 'ways';

export interface ProjectState {
  id: string;
  workspaceId: string;
  role: Role;
}

export interface SecretState {
  id: number;
  secret: string;
  keyId: string;
  project: ProjectState;
  environment: 'LIVE' | 'TEST';
  /** Whether callers may use it as a valid secret. */
  live: boolean;
}

export interface ActionState {
  service: string;
  name: string;
  timeoutMs: number;
}

/** Balances, in micro-credits. */
const WALLET = 1_000_000_000_000;
const STEADY_BUDGET = 50_000_000_000;
const SCARCE_BUDGET = 100_000;

export const TIGHT_LIMIT = { sustainedRps: 20, burst: 10 };
const WIDE_LIMIT = { sustainedRps: 10_000, burst: 10_000 };

const UPSTREAM_ACTIONS: { manner: Manner; price: number; timeoutMs: number }[] = [
  { manner: 'quick', price: 700, timeoutMs: 1_000 },
  { manner: 'slow', price: 1_300, timeoutMs: 2_500 },
  { manner: 'brittle', price: 1_700, timeoutMs: 500 },
  { manner: 'unsure', price: 1_900, timeoutMs: 1_000 },
];

/** A short timeout, so that the holds of a killed server expire within the run. */
const ECHO_TIMEOUT_MS = 500;
export const LONGEST_TIMEOUT_MS = 2_500;
const ECHO: ActionState = { service: 'demo', name: 'demo.echo', timeoutMs: ECHO_TIMEOUT_MS };

/** The tenants, keys and actions of the run, and the acknowledged changes to them. */
export class World {
  readonly workspaces: string[] = [];
  readonly projects: ProjectState[] = [];
  readonly secrets: SecretState[] = [];
  readonly actions: ActionState[] = [ECHO];
  readonly prices = new Map<string, number>([
    ['demo.echo', 1_000],
    ['demo.fail', 1_000],
  ]);
  readonly refusedSpans: RefusedSpan[] = [];
  readonly doubts: Doubt[] = [];
  readonly limits: LimitSpan[] = [];
  readonly moves: MoneyMove[] = [];
  private references = 0;

  constructor(private readonly admin: AdminClient) {}

  /** Creates everything. `patience` multiplies the timeouts of the actions. */
  async build(upstream: FakeUpstream, patience = 1): Promise<void> {
    mustHave(await this.admin.insist(0, UPDATE_ACTION, { id: 'act_demo_echo', timeoutMs: ECHO_TIMEOUT_MS }));
    for (const { manner, price, timeoutMs } of UPSTREAM_ACTIONS) {
      const name = `faults.${manner}`;
      const input = {
        service: 'faults',
        name,
        permission: name,
        priceMicroCredits: price,
        timeoutMs: timeoutMs * patience,
        upstreamUrl: upstream.urlOf(manner),
      };
      mustHave(await this.admin.insist(0, CREATE_ACTION, input));
      this.actions.push({ service: 'faults', name, timeoutMs });
      this.prices.set(name, price);
    }
    for (let number = 0; number < 3; number += 1) {
      const { createWorkspace } = mustHave(
        await this.admin.insist<{ createWorkspace: { workspace: { id: string } } }>(0, CREATE_WORKSPACE, {
          name: `W${number}`,
          slug: `faults-${number}`,
          keyPrefix: 'acme',
        }),
      );
      this.workspaces.push(createWorkspace.workspace.id);
      await this.topUp(0, createWorkspace.workspace.id, WALLET);
    }
    const [first, second, third] = this.workspaces as [string, string, string];
    for (const workspaceId of this.workspaces) {
      const project = await this.buildProject('steady', workspaceId, STEADY_BUDGET);
      for (const environment of ['LIVE', 'LIVE', 'LIVE', 'TEST'] as const) await this.mint(0, project, environment);
    }
    await this.mint(0, await this.buildProject('tight', first, STEADY_BUDGET, TIGHT_LIMIT), 'LIVE');
    await this.mint(0, await this.buildProject('changing', second, STEADY_BUDGET, TIGHT_LIMIT), 'LIVE');
    await this.mint(0, await this.buildProject('scarce', third, SCARCE_BUDGET), 'LIVE');
    await this.mint(0, await this.buildProject('probe', first, STEADY_BUDGET), 'LIVE');
  }

  /** Creates a project with its budget. */
  async buildProject(role: Role, workspaceId: string, budget: number, rateLimit = WIDE_LIMIT): Promise<ProjectState> {
    const slug = `${role}-${this.projects.length}-${Date.now().toString(36)}`;
    const answer = await this.admin.insist<{ createProject: { project: { id: string } } }>(0, CREATE_PROJECT, {
      workspaceId,
      name: role,
      slug,
      rateLimit,
    });
    const project: ProjectState = { id: mustHave(answer).createProject.project.id, workspaceId, role };
    this.projects.push(project);
    this.limits.push({ projectId: project.id, from: 0, to: Infinity, rps: rateLimit.sustainedRps, burst: rateLimit.burst });
    if (budget > 0) await this.allocate(0, project, budget);
    return project;
  }

  /** Mints a key. Returns undefined if that is refused or its outcome stays unknown. */
  async mint(node: number, project: ProjectState, environment: 'LIVE' | 'TEST'): Promise<SecretState | undefined> {
    const input = { projectId: project.id, name: 'Key', environment, permissions: ['demo.*', 'faults.*'] };
    const answer = await this.admin.insist<{ mintKey: { secret: string; key: { id: string } } }>(node, MINT_KEY, input);
    if (answer.kind !== 'data') return undefined;
    return this.addSecret(answer.data.mintKey.secret, answer.data.mintKey.key.id, project, environment);
  }

  addSecret(secret: string, keyId: string, project: ProjectState, environment: 'LIVE' | 'TEST'): SecretState {
    const state: SecretState = { id: this.secrets.length, secret, keyId, project, environment, live: true };
    this.secrets.push(state);
    return state;
  }

  liveSecrets(role: Role): SecretState[] {
    return this.secrets.filter((secret) => secret.live && secret.project.role === role);
  }

  /** Notes that calls with this secret may be refused from `from` on. */
  doubt(secret: SecretState, from: number): void {
    secret.live = false;
    const known = this.doubts.find(({ secretId }) => secretId === secret.id);
    if (known) known.from = Math.min(known.from, from);
    else this.doubts.push({ secretId: secret.id, from });
  }

  async topUp(node: number, workspaceId: string, amount: number): Promise<void> {
    const reference = this.newReference();
    await this.move({ kind: 'TOPUP', reference, amount }, () => this.admin.insist(node, TOP_UP, { workspaceId, amount, reference }));
  }

  async allocate(node: number, project: ProjectState, amount: number): Promise<void> {
    const reference = this.newReference();
    await this.move({ kind: 'ALLOCATION', reference, amount }, () =>
      this.admin.insist(node, ALLOCATE, { projectId: project.id, amount, reference }),
    );
  }

  /** Notes a move before it is sent, and afterwards whether it was acknowledged. A refused move must not change any account. */
  async move(move: Omit<MoneyMove, 'acknowledged'>, send: () => Promise<AdminAnswer<unknown>>): Promise<void> {
    const noted: MoneyMove = { ...move, acknowledged: false };
    this.moves.push(noted);
    noted.acknowledged = (await send()).kind === 'data';
  }

  private newReference(): string {
    return `reference-${(this.references += 1)}`;
  }
}

export function mustHave<T>(answer: AdminAnswer<T>): T {
  if (answer.kind === 'data') return answer.data;
  throw new Error(`The run could not be prepared. The answer was: ${JSON.stringify(answer)}`);
}
