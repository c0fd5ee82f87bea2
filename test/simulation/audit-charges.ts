import type { Usage } from '../../src/actions/unit-prices';
import type { LogRow, TickWrites } from '../../src/gate/tick/rows';
import type { Prices, Tables } from './tables';

/** What an admitted call may cost: the prices that it may have been admitted with, and what its action reported. */
export interface Priced {
  isTest: boolean;
  held: number;
  prices: Prices[];
  usage: Usage | null;
}

export const amountToHold = ({ priceMicroCredits, maxChargeMicroCredits }: Prices): number => maxChargeMicroCredits ?? priceMicroCredits;

/** What a success costs by these prices. Computes with whole numbers: the quantities are small. */
function costAt({ priceMicroCredits, unitPrices }: Prices, usage: Usage | null): { cost: number; isMissing: boolean } {
  let cost = 0;
  let scale = 1;
  let found = 0;
  for (const { unit, microCredits, per } of unitPrices) {
    const quantity = usage?.[unit];
    if (quantity === undefined) continue;
    cost = cost * per + quantity * microCredits * scale;
    scale *= per;
    found += 1;
  }
  return { cost: priceMicroCredits + Math.ceil(cost / scale), isMissing: unitPrices.length > 0 && found === 0 };
}

/**
 * Checks what the calls of a tick were charged. A success pays min(cost, its hold and what the budget has left), and its log row has the
 * rest as shortfall.
 */
export class ChargeAudit {
  constructor(private readonly fail: (problem: string) => void) {}

  /** Checks a committed tick. `pricedOf` returns undefined for a call that was never admitted. */
  check(writes: Pick<TickWrites, 'logs' | 'holds'>, tables: Tables, pricedOf: (log: LogRow) => Priced | undefined): void {
    for (const projectId of new Set(writes.logs.map((log) => log.projectId))) {
      const ended = writes.logs.flatMap((log) => {
        const priced = log.projectId === projectId ? pricedOf(log) : undefined;
        return priced ? [{ log, priced }] : [];
      });
      const admitted = writes.holds.filter((hold) => hold.projectId === projectId).map(({ amount }) => amount);
      const { balance, held } = tables.account(projectId);
      const spent = ended.reduce((sum, { log, priced }) => sum + log.chargedMicroCredits - priced.held, 0);
      this.inOrder(ended, admitted, balance - held + spent + admitted.reduce((sum, amount) => sum + amount, 0));
    }
  }

  /**
   * Walks through the ends of calls in their order. `left` is what the budget had left before the tick. The tick may have admitted calls
   * before each end, which had taken their holds then: no more of them are supposed than a charge needs.
   */
  private inOrder(ended: { log: LogRow; priced: Priced }[], admitted: number[], left: number): void {
    for (const { log, priced } of ended) {
      left += priced.held;
      while (admitted.length > 0 && !isRight(log, priced, left)) left -= admitted.shift() as number;
      if (!isRight(log, priced, left)) {
        const { outcome, chargedMicroCredits, shortfallMicroCredits, usageMissing, userAgent } = log;
        const usage = JSON.stringify(priced.usage);
        this.fail(
          `${String(userAgent)} ${outcome} was charged ${chargedMicroCredits} of ${left}, with a shortfall of ${shortfallMicroCredits}` +
            `${usageMissing ? ' and without usage' : ''}, for ${usage} at ${JSON.stringify(priced.prices)}`,
        );
      }
      left -= log.chargedMicroCredits;
    }
  }
}

function isRight(log: LogRow, { isTest, held, prices, usage }: Priced, left: number): boolean {
  const { chargedMicroCredits: charged, shortfallMicroCredits: shortfall, heldMicroCredits, usageMissing } = log;
  if (heldMicroCredits !== held) return false;
  if (log.outcome !== 'SUCCEEDED') return charged === 0 && shortfall === 0 && log.usage === null && !usageMissing;
  if (JSON.stringify(log.usage) !== JSON.stringify(usage)) return false;
  return prices.some((each) => {
    const { cost, isMissing } = costAt(each, usage);
    const due = isTest ? 0 : cost;
    return charged === Math.min(due, left) && shortfall === due - charged && usageMissing === isMissing;
  });
}
