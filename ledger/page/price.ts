// What the energy costs, where the ledger's operator has said a price. Whole minor units, rounded
// half up once, at the sum; the wall's energy is the lead's over the supply's efficiency. Pure.

export interface Price {
  /** ISO 4217. */
  currency: string;
  /** Cents, pence, … per kilowatt-hour at the wall. */
  minorPerKWh: number;
}

export interface Consumed {
  energyMicroWh: number;
  efficiencyPermille: number;
}

/** The cost in minor units. */
export function costOf(parts: Consumed[], price: Price): number {
  const wallMicroWh = parts.reduce(
    (sum, part) => sum + (part.energyMicroWh * 1000) / part.efficiencyPermille, 0,
  );
  return Math.floor((wallMicroWh / 1e9) * price.minorPerKWh + 0.5);
}

/** An amount with its currency, as English writes it. */
export function moneyText(minor: number, { currency }: Price): string {
  const format = new Intl.NumberFormat('en', { style: 'currency', currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(minor / 10 ** digits);
}
