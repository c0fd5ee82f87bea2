import { Sealed } from '../../src/access/sessions/sealed';
import { ChainKeys } from '../../src/audit/chain-keys';
import { auditChains } from '../../src/audit/chain-reports';
import type { ChainHead } from '../../src/audit/heads';
import { AuditEvent } from '../../src/audit/event.entity';
import { AuditSeal } from '../../src/audit/seal.entities';
import { readTrail, type SealedEvent } from '../../src/audit/trail';
import { PEPPER, type TestApp } from './app';
import { ORIGIN, buildWorkspace } from './factories';

type Trail = Pick<TestApp, 'database'>;

/** The keys of the chains of an app of the tests. */
export const chainKeys = new ChainKeys(new Sealed(PEPPER, 'audit chain'));

/** What the verification of all chains finds, by chain; empty where all hold. */
export async function brokenChains({ database }: Trail, heads: ChainHead[] = []): Promise<Record<string, string[]>> {
  const broken: Record<string, string[]> = {};
  for await (const { chain, faults } of auditChains(database.reader, chainKeys, heads)) if (faults.length > 0) broken[chain] = faults;
  return broken;
}

/** The events that are written while `work` is done, in their order. */
export async function eventsWhile({ database: { reader } }: Trail, work: () => Promise<unknown>): Promise<AuditEvent[]> {
  const before = new Set((await reader.find(AuditEvent, { select: { id: true } })).map(({ id }) => id));
  await work();
  return (await reader.find(AuditEvent, { order: { id: 'ASC' } })).filter(({ id }) => !before.has(id));
}

/** Reads all sealed events after a position, page by page like an export. */
export async function sealedEvents({ database }: Trail, chainId?: string, after = 0): Promise<SealedEvent[]> {
  const events: SealedEvent[] = [];
  for (;;) {
    const page = await readTrail(database.reader, { chainId, after: events.at(-1)?.position ?? after, limit: 7 });
    if (page.length === 0) return events;
    events.push(...(page as SealedEvent[]));
  }
}

/** The seals of a chain, in their order. */
export const sealsOf = ({ database }: Trail, chainId: string) =>
  database.reader.find(AuditSeal, { where: { chainId }, order: { sequence: 'ASC' } });

/** Creates a workspace with a chain of `length` sealed events. */
export async function buildChain(app: TestApp, length: number): Promise<{ id: string; seals: AuditSeal[] }> {
  const { id } = await buildWorkspace(app);
  for (let name = 2; name <= length; name += 1) await app.services.workspaces.update(ORIGIN, { id, name: `Name ${name}` });
  await app.sealer.once();
  return { id, seals: await sealsOf(app, id) };
}
