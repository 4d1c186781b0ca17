// What energy costs, and from when: the prices of the log as one curve of steps, which prices may
// join it, and an energy's cost by it. Pure.
//
// Sums are exact: energy times price is added up in whole numbers, and rounded once, when somebody
// asks for money (half up, to the currency's minor unit).
//
//     cost = Σ energyMicroWh × milliMinorPerKWh ÷ (efficiencyPermille × 10⁹)
//     µWh ÷ 10⁹ = kWh;  ‰: ÷ 1000 of it is the lead's;  thousandths of a minor unit: ÷ 1000 again

import type { Calendar } from './calendar.ts';
import { LedgerError } from './errors.ts';
import type { Price } from './verify/price.ts';

/** A price as it stands in the log; `fromS` is where it holds from. */
export interface SetPrice extends Price {
  index: number;
  receivedMs: number;
}

/** From then on this holds, until the next step. */
export interface Step {
  fromS: number;
  milliMinorPerKWh: number;
}

/** Rising in time, no two at one moment. */
export type Tariff = readonly Step[];

/** Twice a month for forty years; every question about costs walks them. */
export const MAX_PRICES = 1_000;

/**
 * Throws LedgerError `month-closed` for a price from a date in a closed month, `price-currency` for
 * one in another currency than the log's, `price-limit` where there are too many.
 */
export function checkPrice(
  price: Price, { prices, calendar }: { prices: readonly SetPrice[]; calendar: Calendar },
): void {
  if (price.validFrom < calendar.month) {
    const [expected, got] = [`a date in ${calendar.month} or later`, price.validFrom];
    const hint = 'What was billed stays. Let the price begin with a month that is still open.';
    throw refusal('month-closed', expected, got, hint);
  }
  const currency = prices[0]?.currency ?? price.currency;
  if (price.currency !== currency) {
    const hint = 'A log keeps the currency of its first price.';
    throw refusal('price-currency', currency, price.currency, hint);
  }
  if (prices.length >= MAX_PRICES) {
    const hint = 'Nothing can be taken from a log; begin a new one.';
    throw refusal('price-limit', `at most ${MAX_PRICES} prices`, 'one more', hint);
  }
}

/**
 * Where a price holds from: its date's beginning, but not before the first open month's, which may
 * be later where the month before was closed in another zone.
 */
export function holdsFrom(price: Price, calendar: Calendar): number {
  return Math.max(price.fromS, calendar.startS);
}

/** The steps of a log's prices. Of two from one moment the later entry holds. */
export function tariffOf(prices: readonly Pick<SetPrice, 'index' | 'fromS' | 'milliMinorPerKWh'>[],
): Tariff {
  const byMoment = new Map<number, Step>();
  for (const { fromS, milliMinorPerKWh } of prices.toSorted((a, b) => a.index - b.index)) {
    byMoment.set(fromS, { fromS, milliMinorPerKWh });
  }
  return [...byMoment.values()].sort((a, b) => a.fromS - b.fromS);
}

/** What energy between two moments weighs: µWh × price. `energyAt` gives whole µWh. */
export function weigh(
  tariff: Tariff, { fromS, toS }: { fromS: number; toS: number }, energyAt: (atS: number) => number,
): bigint {
  let weighed = 0n;
  for (const [i, step] of tariff.entries()) {
    const startS = Math.max(fromS, step.fromS);
    const endS = Math.min(toS, tariff[i + 1]?.fromS ?? Infinity);
    if (startS >= endS) continue;
    weighed += BigInt(energyAt(endS) - energyAt(startS)) * BigInt(step.milliMinorPerKWh);
  }
  return weighed;
}

/** No home's energy costs as much; a meter that claims it cannot overflow a sum. */
export const MOST_MINOR = 1_000_000_000_000;

/** Minor units, half up: 0.5 is 1, −0.5 is 0. At most {@link MOST_MINOR}. */
export function minorOf(weighed: bigint, efficiencyPermille: number): number {
  const whole = 2n * BigInt(efficiencyPermille) * 1_000_000_000n;
  return Math.min(MOST_MINOR, Number(floorDivide(2n * weighed + whole / 2n, whole)));
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value < 0n && quotient * by !== value ? quotient - 1n : quotient;
}

function refusal(code: string, expected: string, got: string, hint: string): LedgerError {
  return new LedgerError({ code, message: 'Price refused', expected, got, hint });
}
