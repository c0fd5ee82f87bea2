import type { EntityManager } from 'typeorm';
import { z } from 'zod';
import { recordEvent, type EventDraft, type Origin } from '../audit/record-event';
import type { Database } from '../db/database';
import { conflict, notFound, validate } from '../errors';
import { idRule, positiveMicroCredits, reasonRule, referenceRule, signedMicroCredits } from '../lib/rules';
import { Project } from '../tenancy/project.entity';
import { findReferenced, lockBudget, lockWallet, record, remember, transfer } from './ledger';
import { LedgerKind, type LedgerEntry } from './ledger-entry.entity';

const topUpRule = z.object({
  workspaceId: idRule,
  amount: positiveMicroCredits,
  kind: z.enum([LedgerKind.TOPUP, LedgerKind.BONUS], 'must be TOPUP or BONUS').default(LedgerKind.TOPUP),
  reference: referenceRule,
});

const allocateRule = z.object({ projectId: idRule, amount: signedMicroCredits, reference: referenceRule.nullish() });

const refundRule = z.object({ requestLogId: idRule, reason: reasonRule });

const adjustRule = z
  .object({
    workspaceId: idRule.nullish(),
    projectId: idRule.nullish(),
    delta: signedMicroCredits,
    reason: reasonRule,
    reference: referenceRule.nullish(),
  })
  .refine((input) => Boolean(input.workspaceId) !== Boolean(input.projectId), 'give exactly one of workspaceId and projectId');

/** The facts about a call that a refund needs. */
export interface BilledCall {
  id: string;
  workspaceId: string;
  projectId: string;
  chargedMicroCredits: number;
}

export interface WalletServiceDeps {
  database: Database;
  /** Finds a call by the id of its log; null if there is none. */
  findCall(tx: EntityManager, requestLogId: string): Promise<BilledCall | null>;
}

/** Movements of credits by administrators. Each is one transaction that first locks the workspace's wallet, so references cannot race. */
export class WalletService {
  constructor(private readonly deps: WalletServiceDeps) {}

  /** Credits a workspace's wallet. A repeated reference returns the first entry, or throws CONFLICT if the amount or kind differs. */
  async topUp(origin: Origin, raw: z.input<typeof topUpRule>): Promise<LedgerEntry> {
    const { workspaceId, amount, kind, reference } = validate(topUpRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const wallet = await lockWallet(tx, workspaceId);
      const earlier = await findReferenced(tx, workspaceId, 'topUp', reference);
      if (earlier) return sameOrConflict(earlier, earlier.kind === kind && earlier.delta === amount);
      const at = await this.deps.database.now(tx);
      const entry = await record(tx, wallet, { kind, delta: amount, reference, at: at.getTime() }, 'amount');
      await remember(tx, workspaceId, 'topUp', reference, entry);
      const event = { ...origin, action: 'wallet.topped-up', workspaceId, at };
      await recordMovement(tx, entry, { ...event, after: { amount, kind, reference } });
      return entry;
    });
  }

  /** Moves credits from the wallet to a project's budget, or back. Returns the budget's entry. References work as in `topUp`. */
  async allocate(origin: Origin, raw: z.input<typeof allocateRule>): Promise<LedgerEntry> {
    const { projectId, amount, reference } = validate(allocateRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const { workspaceId, archivedAt } = await projectOf(tx, projectId);
      const wallet = await lockWallet(tx, workspaceId);
      const budget = await lockBudget(tx, workspaceId, projectId);
      const earlier = reference ? await findReferenced(tx, workspaceId, 'allocate', reference) : null;
      if (earlier) return sameOrConflict(earlier, earlier.accountId === projectId && earlier.delta === amount);
      if (archivedAt && amount > 0) throw conflict('This project is archived. Use a negative amount to take credits back from its budget.');
      const at = await this.deps.database.now(tx);
      const draft = { kind: LedgerKind.ALLOCATION, delta: amount, reference: reference ?? null, at: at.getTime() };
      const entry = await transfer(tx, wallet, budget, draft, 'amount');
      if (reference) await remember(tx, workspaceId, 'allocate', reference, entry);
      const event = { ...origin, action: 'budget.allocated', workspaceId, at };
      await recordMovement(tx, entry, { ...event, after: { amount, reference: reference ?? null } });
      return entry;
    });
  }

  /** Returns the full price of a billed call to its project's budget, once. Throws CONFLICT the second time, or if the call was free. */
  async refund(origin: Origin, raw: z.input<typeof refundRule>): Promise<LedgerEntry> {
    const { requestLogId, reason } = validate(refundRule, raw, 'input');
    return this.deps.database.transaction(async (tx) => {
      const call = (await this.deps.findCall(tx, requestLogId)) ?? notFound();
      const { workspaceId, projectId, chargedMicroCredits: delta } = call;
      if (delta === 0) throw conflict('This call was free, so there is nothing to refund.');
      await lockWallet(tx, workspaceId);
      const budget = await lockBudget(tx, workspaceId, projectId);
      if (await findReferenced(tx, workspaceId, 'refund', requestLogId)) throw conflict('This call was already refunded.');
      const at = await this.deps.database.now(tx);
      const entry = await record(tx, budget, { kind: LedgerKind.REFUND, delta, requestLogId, reason, at: at.getTime() }, 'requestLogId');
      await remember(tx, workspaceId, 'refund', requestLogId, entry);
      const event = { ...origin, action: 'call.refunded', workspaceId, at };
      await recordMovement(tx, entry, { ...event, after: { amount: delta, requestLogId, reason } });
      return entry;
    });
  }

  /** Corrects a wallet or a budget by hand. References work as in `topUp`. */
  async adjust(origin: Origin, raw: z.input<typeof adjustRule>): Promise<LedgerEntry> {
    const input = validate(adjustRule, raw, 'input');
    const { delta, reason, reference } = input;
    return this.deps.database.transaction(async (tx) => {
      const workspaceId = input.workspaceId ?? (await projectOf(tx, input.projectId ?? notFound())).workspaceId;
      const wallet = await lockWallet(tx, workspaceId);
      const account = input.projectId ? await lockBudget(tx, workspaceId, input.projectId) : wallet;
      const earlier = reference ? await findReferenced(tx, workspaceId, 'adjust', reference) : null;
      if (earlier) return sameOrConflict(earlier, earlier.accountId === account.id && earlier.delta === delta);
      const at = await this.deps.database.now(tx);
      const draft = { kind: LedgerKind.ADJUSTMENT, delta, reason, reference: reference ?? null, at: at.getTime() };
      const entry = await record(tx, account, draft, 'delta');
      if (reference) await remember(tx, workspaceId, 'adjust', reference, entry);
      const event = { ...origin, action: `${account.type}.adjusted`, workspaceId, at };
      await recordMovement(tx, entry, { ...event, after: { delta, reason, reference: reference ?? null } });
      return entry;
    });
  }
}

interface Movement extends Omit<EventDraft, 'subject' | 'before'> {
  workspaceId: string;
  after: Record<string, unknown>;
}

/** Records the event of an entry. Its subject is the account that the entry changed; adds the balance before and after. */
function recordMovement(tx: EntityManager, entry: LedgerEntry, { workspaceId, after, ...event }: Movement): Promise<void> {
  const { accountId, balanceAfter, delta } = entry;
  return recordEvent(tx, {
    ...event,
    subject: { id: accountId, workspaceId },
    before: { balance: balanceAfter - delta },
    after: { ...after, balance: balanceAfter },
  });
}

async function projectOf(tx: EntityManager, projectId: string): Promise<Project> {
  return (await tx.findOneBy(Project, { id: projectId })) ?? notFound();
}

function sameOrConflict(earlier: LedgerEntry, same: boolean): LedgerEntry {
  if (same) return earlier;
  throw conflict('This reference was already used for something else. Use a new reference.');
}
