import { HOLD_MARGIN_MS } from '../../src/gate/decide';
import { SWEEP_INTERVAL_MS } from '../../src/gate/sweep';
import { ROUTE_PACE, type SimulatedCall } from './simulated-call';
import type { SimulatedNode } from './node';
import type { RouteRow } from './tables';
import { VERIFY_PACE } from './verify';
import type { World } from './world';

export interface CallerKey {
  keyId: string;
  projectId: string;
  isTest: boolean;
  /** Numbers of the secrets that its owner knows, with the ended ones, which are tried too. */
  secrets: number[];
}

type Target = Pick<SimulatedCall, 'action' | 'route'> & { isVerified?: boolean };

const MOST_INSISTENCE = 2;

/** The callers. They call in groups, at several nodes, and repeat calls without a clear answer. */
export class Callers {
  readonly keys: CallerKey[] = [];
  private made = 0;
  private readonly insisted = new Map<string, number>();

  constructor(private readonly world: World) {}

  start(): void {
    const { scenario } = this.world;
    this.world.often(scenario.meanMsBetweenGroups, () => this.group());
  }

  /** Makes a call without sending it. */
  draft(key: CallerKey, target: Target, choosesRequestId: boolean, secretNumber = key.secrets.at(-1) ?? 0): SimulatedCall {
    this.made += 1;
    const name = `c${this.made}`;
    const call: SimulatedCall = {
      name,
      keyId: key.keyId,
      projectId: key.projectId,
      isTest: key.isTest,
      ...this.world.secretOf(key.keyId, secretNumber),
      action: target.action,
      isVerified: target.isVerified ?? false,
      route: target.route,
      upstreamMs: target.route ? this.world.upstreamMs() : 0,
      requestId: `request-of-${name}`,
      fingerprint: choosesRequestId ? 'body' : null,
      forbiddenBy: [],
      isKnown: false,
      priceIndex: 0,
      arrivedAt: 0,
      server: undefined,
      attempt: undefined,
      result: undefined,
    };
    this.world.auditor.calls.set(name, call);
    return call;
  }

  /** Sends a call to the present process of a node. The call is lost if that process is dead. */
  send(call: SimulatedCall, nodeIndex: number): void {
    const node = this.world.nodes[nodeIndex] as SimulatedNode;
    if (!node.dead) node.receive(call);
  }

  anyNode(): number {
    return this.world.random.int(0, this.world.nodes.length - 1);
  }

  /** Returns a key. In most cases the key is enabled and not revoked, and its project is not archived. */
  anyKey(): CallerKey {
    const { random, database } = this.world;
    const { keys, projects } = database.tables;
    const good = this.keys.filter(({ keyId, projectId }) => {
      const key = keys.get(keyId);
      return key?.enabled === true && key.revokedAt === null && projects.get(projectId)?.archivedAt === null;
    });
    return good.length > 0 && random.chance(0.9) ? random.pick(good) : random.pick(this.keys);
  }

  anyRoute(): RouteRow | undefined {
    const routes = [...this.world.database.tables.routes.values()];
    return routes.length > 0 ? this.world.random.pick(routes) : undefined;
  }

  /** An action that is called by its name, or a route. The caller of a route may have seen an earlier version of it. */
  private anyTarget(): Target {
    const { random, scenario } = this.world;
    const route = random.chance(scenario.routeCalls) ? this.anyRoute() : undefined;
    if (!route) return { action: this.anyAction(), route: undefined, isVerified: random.chance(scenario.verifiedCalls) };
    return { action: route.action, route: { id: route.id, version: random.chance(0.9) ? route.version : route.version - 1 } };
  }

  anyAction(): string {
    return `action${this.world.random.int(1, this.world.scenario.actions)}`;
  }

  private group(): void {
    const { random, scenario, scheduler } = this.world;
    const key = this.anyKey();
    const node = this.anyNode();
    const size = random.int(1, scenario.callsInGroup);
    const spreadMs = random.pick([0, 2, 100]);
    for (let i = 0; i < size; i += 1) {
      scheduler.after(this.world, random.between(0, spreadMs), () => {
        const choosesRequestId = random.chance(0.5);
        const secret = random.chance(0.9) ? key.secrets.at(-1) : random.pick(key.secrets);
        const call = this.draft(random.chance(0.8) ? key : this.anyKey(), this.anyTarget(), choosesRequestId, secret);
        this.send(call, random.chance(0.6) ? node : this.anyNode());
        if (choosesRequestId) while (random.chance(scenario.repeats)) this.repeat(call, random.pick(scenario.repeatsWithinMs));
      });
    }
  }

  /** Sometimes repeats a call at once after OUTCOME_UNKNOWN or SERVICE_UNAVAILABLE, as real clients do. Matches a changed route again. */
  heard({ fingerprint, requestId, result, ...call }: SimulatedCall): void {
    const holder = result?.kind === 'held' && this.world.auditor.holderIn(result.body);
    if (holder) this.world.askers.use(holder);
    const { random, isBusy } = this.world;
    const route = result?.kind === 'rerouted' && this.world.database.tables.routes.get(call.route?.id ?? '');
    if (route && isBusy) {
      const { id, version, action } = route;
      this.repeat({ ...call, fingerprint, requestId, result, action, route: { id, version } }, 0);
    }
    const isUnknown = result?.kind === 'error' && (result.code === 'SERVICE_UNAVAILABLE' || result.code === 'OUTCOME_UNKNOWN');
    const insisted = this.insisted.get(requestId) ?? 0;
    if (!isBusy || !isUnknown || fingerprint === null || insisted >= MOST_INSISTENCE || random.chance(0.7)) return;
    this.insisted.set(requestId, insisted + 1);
    for (const atMostMs of [0, 30]) this.repeat({ ...call, fingerprint, requestId, result }, atMostMs);
  }

  /** Sends the same requestId again some time later, sometimes with another body. */
  repeat(original: SimulatedCall, atMostMs: number, atLeastMs = 0): void {
    const { random, scheduler } = this.world;
    scheduler.after(this.world, random.between(atLeastMs, atMostMs), () => {
      const { name, result: _result, attempt: _attempt, ...same } = original;
      const again = this.draft({ ...original, secrets: [] }, original, true);
      Object.assign(again, same, {
        forbiddenBy: [],
        server: undefined,
        fingerprint: random.chance(0.9) ? original.fingerprint : 'another body',
      });
      this.world.scheduler.note(`${again.name} repeats ${name}`);
      this.send(again, this.anyNode());
    });
  }

  /** Repeats the unanswered calls of a dead process at about the time when their holds expire, before or after a sweep. */
  abandoned(server: { dead: boolean }): void {
    const { auditor, database } = this.world;
    for (const call of auditor.calls.values()) {
      if (call.server !== server || call.result || call.fingerprint === null) continue;
      const heldMs = call.isVerified ? VERIFY_PACE.lastsMs : call.route && ROUTE_PACE.lastsMs;
      const expiryMs = heldMs ?? HOLD_MARGIN_MS + (database.tables.actions.get(call.action)?.timeoutMs ?? 0);
      this.repeat(call, expiryMs + SWEEP_INTERVAL_MS, expiryMs - SWEEP_INTERVAL_MS);
    }
  }

  /** Repeats about half of all earlier calls that have a requestId. */
  repeatAll(): void {
    for (const call of [...this.world.auditor.calls.values()]) {
      if (call.fingerprint !== null && this.world.random.chance(0.5)) this.repeat(call, 10_000);
    }
  }
}
