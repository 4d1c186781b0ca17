// The JSON that the ledger answers with: names of members, units, and which quantity is measured
// and which is claimed. openapi.ts describes the same documents. Pure.

import { currencyExponent, majorUnits } from '../currency.ts';
import type { Bill } from './account.ts';
import type { Point } from './curve.ts';
import type { CommonsBill, LedgerBook, MonthOf } from './months.ts';
import type { Missing, NodeStatus } from './node.ts';
import { isoOf } from './parameters.ts';
import type { MeterRow, PriceRow } from './schema.ts';
import type { Step } from './steps.ts';

/** By `publish` of the kit's enrolment. */
export const PUBLISH_NAMES = ['nothing', 'batch', 'hour', 'day'] as const;

export interface NodeDocument {
  id: string;
  name: string | null;
  state: string;
  since: string | null;
  enrolled: string;
  publish: string;
  assurance: string;
  interval_s: number;
  supply_efficiency_permille: number;
  calibration: unknown;
  log: {
    batches: number;
    missing_batches: number;
    last_index: number | null;
    last_received: string | null;
    last_sequence: number | null;
    published_until: string | null;
  };
  measured: {
    power_milli_w: number | null;
    energy_micro_wh: number | null;
    up_s: number;
    down_s: number;
    unknown_s: number;
  };
  claimed: {
    wan_in_bytes: number | null;
    wan_out_bytes: number | null;
    disk_used_bytes: number | null;
  };
  /** Of all months, the open ones too; null where nothing could be billed. */
  cost: { currency: string; exponent: number; minor: number } | null;
}

export function nodeDocument(
  meter: MeterRow, status: NodeStatus,
  { name, cost }: { name: string | null; cost: NodeDocument['cost'] },
): NodeDocument {
  const { total } = status;
  return {
    id: meter.meter, name, state: status.state, since: isoOrNull(status.sinceS),
    enrolled: isoOf(Math.floor(meter.enrolledMs / 1000)),
    publish: PUBLISH_NAMES[meter.publish], assurance: meter.assurance,
    interval_s: meter.intervalS, supply_efficiency_permille: meter.supplyEfficiencyPermille,
    calibration: JSON.parse(meter.calibration),
    log: {
      batches: meter.batches, missing_batches: meter.missingBatches, last_index: meter.lastIndex,
      last_received: meter.lastReceivedMs === null
        ? null
        : isoOf(Math.floor(meter.lastReceivedMs / 1000)),
      last_sequence: meter.lastSeq, published_until: isoOrNull(status.publishedUntilS),
    },
    measured: {
      power_milli_w: status.powerMilliW, energy_micro_wh: total.energyMicroWh,
      up_s: total.upS, down_s: total.downS, unknown_s: total.unknownS,
    },
    claimed: {
      wan_in_bytes: total.wanInBytes, wan_out_bytes: total.wanOutBytes,
      disk_used_bytes: status.diskUsedBytes,
    },
    cost,
  };
}

export function missingDocument(missing: Missing): Record<string, string | number | null> {
  return {
    kind: missing.kind, start: isoOf(missing.startS), end: isoOrNull(missing.endS),
    first_sequence: missing.gap?.firstSeq ?? null, last_sequence: missing.gap?.lastSeq ?? null,
  };
}

export function seriesDocument(
  meter: MeterRow, window: { fromS: number; toS: number; step: Step }, points: Point[],
): Record<string, unknown> {
  return {
    id: meter.meter, from: isoOf(window.fromS), to: isoOf(window.toS), step: window.step,
    points: points.map((point) => ({
      start: isoOf(point.startS), end: isoOf(point.endS),
      measured: {
        energy_micro_wh: point.energyMicroWh, mean_milli_w: point.meanMilliW,
        min_milli_w: point.minMilliW, max_milli_w: point.maxMilliW,
        up_s: point.upS, down_s: point.downS, unknown_s: point.unknownS,
      },
      claimed: {
        wan_in_bytes: point.wanInBytes, wan_out_bytes: point.wanOutBytes,
        disk_used_bytes: point.diskUsedBytes,
      },
    })),
  };
}

/** The log's currency, which its first price named. */
export function currencyOf(
  prices: readonly { currency: string }[],
): { currency: string; exponent: number } | null {
  if (prices.length === 0) return null;
  const [{ currency }] = prices;
  return { currency, exponent: currencyExponent(currency)! };
}

export function priceDocument(
  price: Pick<PriceRow, 'currency' | 'milliMinorPerKWh' | 'validFrom' | 'zone' | 'fromS'>,
): Record<string, string | number> {
  const { currency, milliMinorPerKWh, validFrom, zone, fromS } = price;
  const exponent = currencyExponent(currency)!;
  return {
    currency, exponent, milli_minor_per_kwh: milliMinorPerKWh,
    per_kwh: majorUnits(milliMinorPerKWh, exponent + 3), valid_from: validFrom, zone,
    starts: isoOf(fromS),
  };
}

export function pricesDocument(origin: string, prices: readonly PriceRow[]): Record<string, unknown> {
  return {
    origin, prices: prices.map((price) => ({
      entry_index: price.index, received: isoOf(Math.floor(price.receivedMs / 1000)),
      ...priceDocument(price),
    })),
  };
}

/** Months as asked for; `subject` says whose they are. */
export function monthsDocument(
  subject: { origin: string } | { id: string }, book: LedgerBook,
  { months, next }: { months: MonthOf<Bill | CommonsBill>[]; next: string | null },
): Record<string, unknown> {
  const asOfMs = book.asOfMs();
  return {
    ...subject, as_of: isoOrNull(asOfMs === null ? null : Math.floor(asOfMs / 1000)),
    zone: book.calendar()?.zone ?? null,
    ...(currencyOf(book.prices()) ?? { currency: null, exponent: null }),
    months: months.map(monthDocument), next,
  };
}

function monthDocument(month: MonthOf<Bill | CommonsBill>): Record<string, unknown> {
  const { bill, closed } = month;
  const { late } = bill;
  return {
    month: month.month, start: isoOf(month.startS), end: isoOf(month.endS), zone: month.zone,
    closed: isoOrNull(closed === null ? null : Math.floor(closed.atMs / 1000)),
    closed_index: closed?.index ?? null, ...('nodes' in bill ? { nodes: bill.nodes } : {}),
    measured: {
      energy_micro_wh: bill.energyMicroWh, up_s: bill.upS, down_s: bill.downS,
      unknown_s: bill.unknownS,
    },
    claimed: { wan_in_bytes: bill.wanInBytes, wan_out_bytes: bill.wanOutBytes },
    late: {
      measured: { energy_micro_wh: late.energyMicroWh, up_s: late.upS, down_s: late.downS },
      claimed: { wan_in_bytes: late.wanInBytes, wan_out_bytes: late.wanOutBytes },
    },
    cost_minor: bill.costMinor, late_cost_minor: bill.lateMinor,
  };
}

function isoOrNull(atS: number | null): string | null {
  return atS === null ? null : isoOf(atS);
}
