import { In } from 'typeorm';
import { z } from 'zod';
import { invalid, notFound } from '../../errors';
import { windowsOf, type PlaceByAge } from '../../db/windows';
import { idRule } from '../../lib/rules';
import { Project } from '../../tenancy/project.entity';
import { LedgerEntry, LedgerKind, entryPlace } from '../../wallet/ledger-entry.entity';
import { entriesOf, type LedgerFilter } from '../../wallet/ledger.queries';
import { Wallet } from '../../wallet/wallet.entity';
import { amount, anyOfThese, commonParameters, instant, mapped, microCredits, text, textOrNull, time, type ExportedTable, type RowsRequest, type Sees } from './table';

const query = z.strictObject({
  ...commonParameters,
  projectId: anyOfThese(idRule)
    .meta({ description: 'The budgets of these projects, one after another. Where it is absent: the workspace’s wallet.' })
    .optional(),
  kind: anyOfThese(z.enum(LedgerKind, `must be one of ${Object.keys(LedgerKind).join(', ')}`)).meta({ description: 'Of these kinds.' }).optional(),
  minDelta: amount.meta({ description: 'Whose delta is this or more: 1 leaves what came in.' }).optional(),
  maxDelta: amount.meta({ description: 'Whose delta is this or less: -1 leaves what went out.' }).optional(),
  from: instant.meta({ description: 'Inclusive.' }).optional(),
  to: instant.meta({ description: 'Exclusive.' }).optional(),
});
type Query = z.output<typeof query>;

const line = z
  .object({
    id: text,
    projectId: textOrNull.meta({ description: 'The project whose budget it moved; null where it moved the wallet.' }),
    kind: z.enum(LedgerKind),
    delta: microCredits('By how much.'),
    balanceAfter: microCredits('The balance right after it.'),
    linkedEntryId: textOrNull.meta({ description: 'The other half of an allocation.' }),
    requestLogId: textOrNull.meta({ description: 'The call that it bills or refunds. Null without the permission read.logs.' }),
    reference: textOrNull,
    reason: textOrNull,
    createdAt: time,
  })
  .meta({ id: 'ExportedLedgerEntry' });

function lineOf(entry: LedgerEntry, sees: Sees): z.output<typeof line> {
  const { id, accountId, kind, delta, balanceAfter, linkedEntryId, reference, reason, createdAt } = entry;
  const projectId = accountId.startsWith('prj_') ? accountId : null;
  const requestLogId = sees('read.logs') ? entry.requestLogId : null;
  return { id, projectId, kind, delta, balanceAfter, linkedEntryId, requestLogId, reference, reason, createdAt };
}

/** What moved a wallet or some budgets. */
export const ledgerTable: ExportedTable<typeof query> = {
  name: 'ledger',
  summary: 'What moved a wallet or budgets, oldest first in each',
  permission: 'read.wallet',
  besides: ['read.logs'],
  query,
  line,
  async rows(request) {
    const accounts = await accountsOf(request);
    return rowsOf(accounts, await placeOf(request, accounts), request);
  },
};

interface Begin {
  accountId: string;
  place: PlaceByAge;
}

/** One account after another, each from its oldest entry on. */
async function* rowsOf(accounts: string[], begin: Begin | undefined, { reader, query, startedAt, sees }: RowsRequest<Query>): AsyncGenerator<object[]> {
  const filter: LedgerFilter = query;
  for (const accountId of begin ? accounts.slice(accounts.indexOf(begin.accountId)) : accounts) {
    const windows = windowsOf({
      list: () => entriesOf(reader, accountId, { from: query.from, to: query.to }),
      wanted: () => entriesOf(reader, accountId, filter),
      minor: 'seq',
      after: accountId === begin?.accountId ? begin.place : undefined,
      until: startedAt,
    });
    yield* mapped(windows, (entries) => entries.map((entry) => lineOf(entry, sees)));
  }
}

/** In the order in which they were asked for. NOT_FOUND where one of them is no project of the workspace. */
async function accountsOf({ reader, workspaceId, query: { projectId } }: RowsRequest<Query>): Promise<string[]> {
  if (!projectId) {
    const wallet = await reader.findOneByOrFail(Wallet, { workspaceId });
    return [wallet.id];
  }
  const asked = [...new Set(projectId)];
  const found = await reader.countBy(Project, { id: In(asked), workspaceId });
  return found === asked.length ? asked : notFound();
}

async function placeOf({ reader, query: { after } }: RowsRequest<Query>, accounts: string[]): Promise<Begin | undefined> {
  if (after === undefined) return undefined;
  const place = entryPlace(after);
  const entry = place && accounts.includes(place.accountId) ? await reader.findOneBy(LedgerEntry, place) : null;
  if (!entry) throw invalid({ path: ['after'], message: 'is not the id of an entry of what is asked for' });
  return { accountId: entry.accountId, place: { createdAtMs: entry.createdAt.getTime(), minor: entry.seq } };
}
