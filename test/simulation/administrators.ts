import { LedgerKind } from '../../src/wallet/ledger-entry.entity';
import type { RouteVersion } from '../../src/gate/call';
import type { SimulatedCall } from './simulated-call';
import type { CallerKey } from './callers';
import { WORKSPACE } from './database';
import type { Prices, RouteRow } from './tables';
import type { World } from './world';

interface Change {
  title: string;
  /** Locks, in the order in which they are taken. */
  locks?: string[];
  /** Changes the tables at the moment of the commit. Returns false if there is nothing to change. */
  apply(): boolean;
  /** Returns whether the call is forbidden once this change has answered. */
  forbids?(call: SimulatedCall): boolean;
  /** Title of an earlier change. Its prohibition ends when this change begins. */
  lifts?: string;
  /** Calls that go to every node just before this change commits, and again as soon as it has answered. */
  tries?: { key?: CallerKey | undefined; action?: string; route?: RouteVersion; times?: number };
  answered?(): void;
}

const NOTHING: Change = { title: 'nothing', apply: () => false };

interface Try {
  key: CallerKey;
  action: string;
  route: RouteVersion | undefined;
  secret: number;
}

/** Administrators who revoke, rotate, disable, archive, change limits and prices, and move credits, at random times. */
export class Administrators {
  private minted = 0;
  private readonly refunded = new Set<string>();

  constructor(private readonly world: World) {}

  start(): void {
    this.world.often(this.world.scenario.meanMsBetweenAdministrators, () => {
      void this.carryOut(this.world.random.pick(this.changes)());
    });
  }

  limit(): { sustainedRps: number; burst: number } {
    const { random } = this.world;
    return { sustainedRps: random.pick([0.7, 2, 5, 40]), burst: random.pick([1, 4, 8, 1_000]) };
  }

  prices(): Prices {
    const { random } = this.world;
    const priceMicroCredits = random.pick([0, 1, 1, 3, 10]);
    if (random.chance(0.5)) return { priceMicroCredits, unitPrices: [], maxChargeMicroCredits: null };
    const units = random.chance(0.5) ? ['tokens'] : ['tokens', 'seconds'];
    const unitPrices = units.map((unit) => ({ unit, microCredits: random.pick([0, 1, 2, 7]), per: random.pick([1, 3, 10]) }));
    return { priceMicroCredits, unitPrices, maxChargeMicroCredits: priceMicroCredits + random.pick([0, 5, 20]) };
  }

  mint(projectId: string, environment: 'LIVE' | 'TEST' = this.world.random.chance(0.15) ? 'TEST' : 'LIVE'): CallerKey {
    const { database, callers } = this.world;
    this.minted += 1;
    const keyId = `key_${this.minted}`;
    database.tables.keys.set(keyId, { keyId, projectId, environment, enabled: true, revokedAt: null });
    this.addSecret(keyId, 1);
    const key = { keyId, projectId, isTest: environment === 'TEST', secrets: [1] };
    callers.keys.push(key);
    return key;
  }

  private readonly changes: (() => Change)[] = [
    () => this.revoke(),
    () => this.rotate(0),
    () => this.rotate(this.world.random.pick([1_000, 60_000])),
    () => this.disableKey(),
    () => this.archive(),
    () => this.disableAction(),
    () => this.changeRoute(),
    () => this.disableRoute(),
    () => this.changePrice(),
    () => this.changeLimit(),
    () => this.changeLimit(),
    () => this.changeLimit(),
    () => this.allocate(),
    () => this.allocate(),
    () => this.allocate(),
    () => this.refund(),
    () => this.mintKey(),
  ];

  async carryOut(change: Change): Promise<void> {
    const { random, scheduler, database, network, auditor } = this.world;
    await scheduler.wait(database, network.latencyMs());
    const session = database.connect('administrator');
    if (!session) return;
    for (const name of change.locks ?? []) {
      const locked = await new Promise<boolean>((resolve) => database.lock(session, name, resolve));
      if (!locked) return database.close(session);
    }
    await scheduler.wait(database, random.chance(0.2) ? random.between(0, 3_000) : random.between(0, 5));
    if (session.closed) return;
    if (change.lifts !== undefined) this.lift(change.lifts);
    const tries = change.tries && this.draftTries(change.tries);
    if (tries) {
      this.tryOut(tries);
      await scheduler.wait(database, random.between(0, random.pick([5, 200])));
      if (session.closed) return;
    }
    if (!change.apply()) return database.close(session);
    scheduler.note(`an administrator commits: ${change.title}`);
    database.administered(session, change.locks ?? []);
    await scheduler.wait(database, network.latencyMs());
    if (random.chance(network.rates.lostAnswer)) return;
    scheduler.note(`an administrator is answered: ${change.title}`);
    if (change.forbids)
      auditor.prohibitions.push({ text: change.title, lifted: false, forbids: (call) => change.forbids?.(call) ?? false });
    change.answered?.();
    if (tries) this.tryOut(tries);
  }

  private lift(text: string): void {
    for (const prohibition of this.world.auditor.prohibitions) if (prohibition.text === text) prohibition.lifted = true;
  }

  private draftTries({ key, action, route, times = 1 }: NonNullable<Change['tries']>): Try[] {
    const { random, callers } = this.world;
    const caller = key ?? random.pick(callers.keys);
    const draft = { key: caller, action: action ?? callers.anyAction(), route, secret: random.pick(caller.secrets) };
    return Array.from({ length: times }, () => draft);
  }

  private tryOut(tries: Try[]): void {
    const { random, callers, nodes } = this.world;
    for (const { key, action, route, secret } of tries) {
      for (let node = 0; node < nodes.length; node += 1) {
        callers.send(callers.draft(key, { action, route }, random.chance(0.3), secret), node);
      }
    }
  }

  private addSecret(keyId: string, number: number): void {
    const { digest } = this.world.secretOf(keyId, number);
    this.world.database.tables.secrets.set(digest, { digest, keyId, graceUntil: null, endedAt: null });
  }

  private anyKey(): CallerKey {
    return this.world.callers.anyKey();
  }

  private anyProject(): string {
    return `prj_${this.world.random.int(1, this.world.scenario.projects)}`;
  }

  private revoke(): Change {
    const { database } = this.world;
    const key = this.anyKey();
    return {
      title: `revoke ${key.keyId}`,
      apply: () => {
        const row = database.tables.keys.get(key.keyId);
        if (!row || row.revokedAt !== null) return false;
        row.revokedAt = database.clock.nowMs();
        for (const secret of database.tables.secrets.values()) if (secret.keyId === key.keyId) secret.endedAt ??= row.revokedAt;
        return true;
      },
      forbids: (call) => call.keyId === key.keyId,
      tries: { key },
      answered: () => void this.carryOut(this.mintKey(key.projectId)),
    };
  }

  private rotate(graceMs: number): Change {
    const { database } = this.world;
    const key = this.anyKey();
    const { secrets, keys } = database.tables;
    const ended: string[] = [];
    let added = 0;
    return {
      title: `rotate ${key.keyId} with a grace of ${graceMs} ms`,
      apply: () => {
        if (keys.get(key.keyId)?.revokedAt !== null) return false;
        const now = database.clock.nowMs();
        const own = [...secrets.values()].filter((secret) => secret.keyId === key.keyId);
        for (const secret of own) {
          if (secret.endedAt !== null) continue;
          if (secret.graceUntil === null && graceMs > 0) secret.graceUntil = now + graceMs;
          else secret.endedAt = now;
          if (secret.endedAt !== null) ended.push(secret.digest);
        }
        added = own.length + 1;
        this.addSecret(key.keyId, added);
        return true;
      },
      forbids: (call) => ended.includes(call.digest),
      tries: { key },
      answered: () => key.secrets.push(added),
    };
  }

  private disableKey(): Change {
    const key = this.anyKey();
    return {
      title: `disable ${key.keyId}`,
      apply: () => this.setEnabled(key, false),
      forbids: (call) => call.keyId === key.keyId,
      tries: { key },
      answered: () => this.soon(() => this.enableKey(key)),
    };
  }

  private enableKey(key: CallerKey): Change {
    return { title: `enable ${key.keyId}`, lifts: `disable ${key.keyId}`, apply: () => this.setEnabled(key, true) };
  }

  private setEnabled(key: CallerKey, enabled: boolean): boolean {
    const row = this.world.database.tables.keys.get(key.keyId);
    if (!row || row.revokedAt !== null || row.enabled === enabled) return false;
    row.enabled = enabled;
    return true;
  }

  private archive(): Change {
    const projectId = this.anyProject();
    return {
      title: `archive ${projectId}`,
      apply: () => {
        const project = this.world.database.tables.projects.get(projectId);
        if (!project || project.archivedAt !== null || !this.world.random.chance(0.2)) return false;
        project.archivedAt = this.world.database.clock.nowMs();
        return true;
      },
      forbids: (call) => call.projectId === projectId,
      tries: { key: this.world.callers.keys.find((key) => key.projectId === projectId) },
    };
  }

  private disableAction(): Change {
    const name = this.world.callers.anyAction();
    return {
      title: `disable ${name}`,
      apply: () => this.setActionEnabled(name, false),
      forbids: (call) => call.action === name,
      tries: { action: name },
      answered: () => this.soon(() => this.enableAction(name)),
    };
  }

  private enableAction(name: string): Change {
    return { title: `enable ${name}`, lifts: `disable ${name}`, apply: () => this.setActionEnabled(name, true) };
  }

  private setActionEnabled(name: string, enabled: boolean): boolean {
    const row = this.world.database.tables.actions.get(name);
    if (!row || row.enabled === enabled) return false;
    row.enabled = enabled;
    return true;
  }

  /** Gives a route a new version, and sometimes another action. */
  private changeRoute(): Change {
    const { random, callers, database, scheduler } = this.world;
    const row = callers.anyRoute();
    if (!row) return NOTHING;
    const { id, version } = row;
    return {
      title: `change version ${version} of ${id}`,
      apply: () => {
        if (row.version !== version || !database.tables.routes.has(id)) return false;
        Object.assign(row, { version: version + 1, changedAt: scheduler.now });
        if (random.chance(0.3)) row.action = callers.anyAction();
        return true;
      },
      forbids: ({ route }) => route?.id === id && route.version <= version,
      tries: { action: row.action, route: { id, version } },
    };
  }

  private disableRoute(): Change {
    const { callers } = this.world;
    const row = callers.anyRoute();
    if (!row) return NOTHING;
    const { id, version, action } = row;
    return {
      title: `disable ${id}`,
      apply: () => this.setRouteEnabled(row, false),
      forbids: ({ route }) => route?.id === id,
      tries: { action, route: { id, version } },
      answered: () => this.soon(() => ({ title: `enable ${id}`, lifts: `disable ${id}`, apply: () => this.setRouteEnabled(row, true) })),
    };
  }

  private setRouteEnabled(row: RouteRow, enabled: boolean): boolean {
    if (row.enabled === enabled) return false;
    Object.assign(row, { enabled, changedAt: this.world.scheduler.now });
    return true;
  }

  private soon(change: () => Change): void {
    const { scheduler, random } = this.world;
    scheduler.after(this.world, random.between(0, 1_000), () => void this.carryOut(change()));
  }

  private changePrice(): Change {
    const { callers, database, auditor } = this.world;
    const name = callers.anyAction();
    const prices = this.prices();
    return {
      title: `${name} costs ${JSON.stringify(prices)}`,
      apply: () => {
        const row = database.tables.actions.get(name);
        if (!row) return false;
        Object.assign(row, prices);
        auditor.prices.get(name)?.push(prices);
        return true;
      },
    };
  }

  /** Changes a rate limit, often with more calls around it than most limits admit. */
  private changeLimit(): Change {
    const { callers, database, random } = this.world;
    const limit = this.limit();
    const key = callers.anyKey();
    const { projectId } = key;
    return {
      title: `${projectId} may ${limit.sustainedRps} a second and ${limit.burst} at once`,
      apply: () => Boolean(Object.assign(database.tables.projects.get(projectId) ?? {}, limit)),
      tries: { key, times: random.pick([1, 8]) },
    };
  }

  private allocate(): Change {
    const { random, database } = this.world;
    const projectId = this.anyProject();
    const amount = random.pick([-100, -5, -1, 20, 100]);
    return {
      title: `allocate ${amount} to ${projectId}`,
      locks: [WORKSPACE, projectId],
      apply: () => {
        const { balance, held } = database.tables.account(projectId);
        if (balance - held + amount < 0) return false;
        database.tables.enter(WORKSPACE, LedgerKind.ALLOCATION, -amount, null, database.clock.nowMs());
        database.tables.enter(projectId, LedgerKind.ALLOCATION, amount, null, database.clock.nowMs());
        return true;
      },
    };
  }

  private refund(): Change {
    const { database, random } = this.world;
    const charged = [...database.tables.logs.values()].filter(
      ({ id, chargedMicroCredits }) => chargedMicroCredits > 0 && !this.refunded.has(id),
    );
    const log = charged.length > 0 ? random.pick(charged) : undefined;
    return {
      title: `refund ${String(log?.userAgent)}`,
      locks: log ? [WORKSPACE, log.projectId] : [],
      apply: () => {
        if (!log || this.refunded.has(log.id)) return false;
        this.refunded.add(log.id);
        database.tables.enter(log.projectId, LedgerKind.REFUND, log.chargedMicroCredits, log.id, database.clock.nowMs());
        return true;
      },
    };
  }

  private mintKey(projectId = this.anyProject()): Change {
    return {
      title: `mint a key of ${projectId}`,
      apply: () => {
        this.mint(projectId);
        return true;
      },
    };
  }
}
