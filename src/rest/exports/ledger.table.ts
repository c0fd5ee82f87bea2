import { In } from 'typeorm';
import { z } from 'zod';
import { invalid, notFound } from '../../errors';
import { windowsOf, type PlaceByAge } from '../../db/windows';
import { idRule } from '../../lib/rules';
import { Project } from '../../tenancy/project.entity';
import { LedgerEntry, LedgerKind, entryPlace } from '../../wallet/ledger-entry.entity';
import { entriesOf, type LedgerFilter } from '../../wallet/ledger.queries';
import { Wallet } from '../../wallet/wallet.entity';
import {
  amount,
  anyOfThese,
  commonParameters,
  endOf,
  instant,
  mapped,
  microCredits,
  text,
  textOrNull,
  time,
  type ExportedTable,
  type RowsRequest,
  type Sees,
} from './table';

const kinds = anyOfThese(z.enum(LedgerKind, `must be one of ${Object.keys(LedgerKind).join(', ')}`));

const query = z.strictObject({
  ...commonParameters,
  projectId: anyOfThese(idRule)
    .meta({ description: 'Entries of the budgets of these projects, one budget after another. If absent: entries of the wallet.' })
    .optional(),
  kind: kinds.meta({ description: 'Entries of these kinds.' }).optional(),
  minDelta: amount.meta({ description: 'Entries with a delta of at least this. 1 selects incoming amounts.' }).optional(),
  maxDelta: amount.meta({ description: 'Entries with a delta of at most this. -1 selects outgoing amounts.' }).optional(),
  from: instant.meta({ description: 'Entries at or after this time.' }).optional(),
  to: instant.meta({ description: 'Entries before this time.' }).optional(),
});
type Query = z.output<typeof query>;

const line = z
  .object({
    id: text,
    projectId: textOrNull.meta({ description: 'Project of the changed budget, or null if the wallet changed.' }),
    kind: z.enum(LedgerKind),
    delta: microCredits('Change of the balance.'),
    balanceAfter: microCredits('Balance right after the entry.'),
    linkedEntryId: textOrNull.meta({ description: 'The other entry of the same allocation, or null.' }),
    requestLogId: textOrNull.meta({ description: 'The billed or refunded call, or null. Null without the permission read.logs.' }),
    reference: textOrNull,
    reason: textOrNull,
    createdAt: time,
  })
  .meta({
    id: 'ExportedLedgerEntry',
    examples: [
      {
        id: 'led_prj_0VKq3Zb0A5nJ8rWx3Lp7Te_42',
        projectId: 'prj_0VKq3Zb0A5nJ8rWx3Lp7Te',
        kind: 'USAGE',
        delta: -1_000,
        balanceAfter: 99_000,
        linkedEntryId: null,
        requestLogId: 'log_0VKq4D92F6gB1uSk9Mv4Yz',
        reference: null,
        reason: null,
        createdAt: '2026-11-21T09:30:00.000Z',
      },
    ],
  });

function lineOf(entry: LedgerEntry, sees: Sees): z.output<typeof line> {
  const { id, accountId, kind, delta, balanceAfter, linkedEntryId, reference, reason, createdAt } = entry;
  const projectId = accountId.startsWith('prj_') ? accountId : null;
  const requestLogId = sees('read.logs') ? entry.requestLogId : null;
  return { id, projectId, kind, delta, balanceAfter, linkedEntryId, requestLogId, reference, reason, createdAt };
}

/** The ledger entries of a wallet or of budgets. */
export const ledgerTable: ExportedTable<typeof query> = {
  name: 'ledger',
  summary: 'Ledger entries of a wallet or of budgets, oldest first in each',
  permission: 'read.wallet',
  besides: ['read.logs'],
  query,
  line,
  async rows(request) {
    const accounts = await accountsOf(request);
    return rowsOf(accounts, await placeOf(request, accounts), request);
  },
};

/** The entry after which an export continues. */
interface Begin {
  accountId: string;
  place: PlaceByAge;
}

/** Yields the rows of one account after another, oldest first in each. */
async function* rowsOf(accounts: string[], begin: Begin | undefined, request: RowsRequest<Query>): AsyncGenerator<object[]> {
  const { reader, query, sees } = request;
  const filter: LedgerFilter = { ...query, from: null, to: null }; // the windows filter by time
  for (const accountId of begin ? accounts.slice(accounts.indexOf(begin.accountId)) : accounts) {
    const windows = windowsOf({
      list: () => entriesOf(reader, accountId, {}),
      wanted: () => entriesOf(reader, accountId, filter),
      minor: 'seq',
      after: accountId === begin?.accountId ? begin.place : undefined,
      from: query.from,
      to: endOf(request),
    });
    yield* mapped(windows, (entries) => entries.map((entry) => lineOf(entry, sees)));
  }
}

/** Returns account ids in the order of `projectId`. Throws NOT_FOUND if one is not a project of the workspace. */
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
  if (!entry) throw invalid({ path: ['after'], message: 'is not the id of an entry of this wallet or of these budgets' });
  return { accountId: entry.accountId, place: { createdAtMs: entry.createdAt.getTime(), minor: entry.seq } };
}
