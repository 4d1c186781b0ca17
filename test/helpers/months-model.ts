// Months reckoned a second time, the slow way, to hold the projections' and the audit's against:
// from all records as the meters made them and the moments at which they arrived, by interpolating
// between neighbours and adding up in fractions. Shares nothing with ledger/ask but the calendar.

import { endOfMonth, nextMonth } from '../../ledger/calendar.ts';

export interface ModelRecord {
  atS: number;
  energyMicroWh: number;
  upS: number;
  downS: number;
  unknownS: number;
  wanInBytes: number;
  wanOutBytes: number;
}

export interface ModelMeter {
  lifeS: number;
  /** Of the entry that enrolled it. */
  index: number;
  permille: number;
  /** Records in order, with the index of the entry that made them public, if one did. */
  records: (ModelRecord & { publicBy: number })[];
}

export interface ModelLog {
  /** When each entry was received, by index. */
  receivedMs: number[];
  prices: { index: number; fromS: number; milliMinor: number; zone: string }[];
  meters: ModelMeter[];
}

export interface ModelMonth {
  month: string;
  closedBy: number | null;
  energyMicroWh: number;
  upS: number;
  downS: number;
  unknownS: number;
  wanInBytes: number;
  wanOutBytes: number;
  lateEnergyMicroWh: number;
  costMinor: number;
  lateMinor: number;
}

type Sums = Omit<ModelRecord, 'atS'>;
const NAMES = ['energyMicroWh', 'upS', 'downS', 'unknownS', 'wanInBytes', 'wanOutBytes'] as const;

/** A meter's months from its enrolment to the log's last entry, oldest first. */
export function modelMonths(log: ModelLog, meter: ModelMeter): ModelMonth[] {
  const told: Sums & { minor: number } = { ...sums(() => 0), minor: 0 };
  return spans(log).filter(({ endS }) => meter.lifeS < endS).map((span) => {
    const known = meter.records.filter(({ publicBy }) => publicBy < span.before);
    const prices = log.prices.filter(({ index }) => index < span.before);
    const fromS = Math.max(span.startS, meter.lifeS);
    const [start, end] = [countersAt(meter, known, fromS), countersAt(meter, known, span.endS)];
    const [startMinor, endMinor] = [fromS, span.endS]
      .map((atS) => costUntil(meter, known, { atS, prices }));
    const upS = end.upS - start.upS;
    const downS = end.downS - start.downS;
    const month = {
      month: span.month, closedBy: span.closedBy,
      energyMicroWh: end.energyMicroWh - start.energyMicroWh, upS, downS,
      unknownS: span.endS - fromS - upS - downS,
      wanInBytes: end.wanInBytes - start.wanInBytes,
      wanOutBytes: end.wanOutBytes - start.wanOutBytes,
      lateEnergyMicroWh: start.energyMicroWh - told.energyMicroWh,
      costMinor: endMinor - told.minor, lateMinor: startMinor - told.minor,
    };
    Object.assign(told, end, { minor: endMinor });
    return month;
  });
}

interface ModelSpan {
  month: string;
  startS: number;
  endS: number;
  closedBy: number | null;
  /** What entries before this one told is known. */
  before: number;
}

/** Entry by entry: which months does it close, and which are open at the end? */
function spans({ receivedMs, prices }: ModelLog): ModelSpan[] {
  const found: ModelSpan[] = [];
  let month = new Date(receivedMs[0]).toISOString().slice(0, 7);
  let startS = Date.parse(`${month}-01T00:00:00Z`) / 1000;
  const zoneBefore = (index: number): string =>
    prices.findLast((price) => price.index < index)?.zone ?? 'UTC';
  for (const [index, atMs] of receivedMs.entries()) {
    for (;;) {
      const endS = endOfMonth(month, zoneBefore(index));
      if (atMs < (endS + 3 * 86_400) * 1000) break;
      found.push({ month, startS, endS, closedBy: index, before: index });
      [month, startS] = [nextMonth(month), endS];
    }
  }
  const nowS = Math.floor(receivedMs.at(-1)! / 1000);
  while (startS < nowS) {
    const endS = endOfMonth(month, zoneBefore(Infinity));
    found.push({ month, startS, endS: Math.min(endS, nowS), closedBy: null, before: Infinity });
    [month, startS] = [nextMonth(month), endS];
  }
  return found;
}

function countersAt(meter: ModelMeter, known: ModelRecord[], atS: number): Sums {
  const after = known.findIndex((record) => record.atS > atS);
  const zero: ModelRecord = { atS: meter.lifeS, ...sums(() => 0) };
  if (after === -1) return known.at(-1) ?? zero;
  const [before, next] = [known[after - 1] ?? zero, known[after]];
  const share = (atS - before.atS) / (next.atS - before.atS);
  return sums((name) => Math.round(before[name] + (next[name] - before[name]) * share));
}

/** In thousandths of the smallest unit that efficiency leaves whole; rounded half up at the end. */
function costUntil(
  meter: ModelMeter, known: ModelRecord[],
  { atS, prices }: { atS: number; prices: ModelLog['prices'] },
): number {
  const edges = [...new Set([meter.lifeS, atS, ...prices.map(({ fromS }) => fromS)])]
    .filter((edgeS) => edgeS >= meter.lifeS && edgeS <= atS)
    .sort((a, b) => a - b);
  let sum = 0n;
  for (const [i, startS] of edges.slice(0, -1).entries()) {
    const holding = prices.filter(({ fromS }) => fromS <= startS)
      .reduce<ModelLog['prices'][number] | null>((best, price) => (
        best === null || price.fromS >= best.fromS ? price : best
      ), null);
    const [from, to] = [startS, edges[i + 1]].map((edgeS) => countersAt(meter, known, edgeS));
    sum += BigInt(to.energyMicroWh - from.energyMicroWh) * BigInt(holding?.milliMinor ?? 0);
  }
  const unit = BigInt(meter.permille) * 1_000_000_000n;
  return Number((sum * 2n + unit) / (unit * 2n));
}

function sums(value: (name: (typeof NAMES)[number]) => number): Sums {
  return Object.fromEntries(NAMES.map((name) => [name, value(name)])) as unknown as Sums;
}
