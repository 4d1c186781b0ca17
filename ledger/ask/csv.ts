// Figures as CSV (RFC 4180). Published interval records, one line each as the meter signed it, after
// the place in time and in the log that the ledger gave it; and months, one line a node and month.
// Pure.

import { FIELDS } from '../../firmware/wire.ts';
import { majorUnits } from '../currency.ts';
import type { MonthOf } from './months.ts';
import { isoOf } from './parameters.ts';
import type { MeterRow, RecordRow } from './schema.ts';

/** Fields that the node told the meter; all others are the meter's own. */
const CLAIMED = new Set<string>(['wanInBytes', 'wanOutBytes', 'diskUsedBytes']);

/** The header line's names. */
export const CSV_COLUMNS = [
  'start', 'end', 'time_source', 'received', 'entry_index',
  ...FIELDS.map(({ name }) => snake(CLAIMED.has(name) ? `claimed_${name}` : name)),
];

export function recordsCsv(records: RecordRow[]): string {
  const lines = records.map((record) => [
    isoOf(record.startS), isoOf(record.atS), record.timeSource, isoOf(record.receivedS),
    record.entryIndex, ...FIELDS.map(({ name }) => record[name]),
  ]);
  return csvOf(CSV_COLUMNS, lines);
}

/** The header line's names of months; a quantity that is not known is empty. */
export const MONTH_COLUMNS = [
  'meter', 'month', 'start', 'end', 'zone', 'closed_index', 'energy_micro_wh', 'up_s', 'down_s',
  'unknown_s', 'claimed_wan_in_bytes', 'claimed_wan_out_bytes', 'late_energy_micro_wh', 'late_up_s',
  'late_down_s', 'late_claimed_wan_in_bytes', 'late_claimed_wan_out_bytes', 'currency', 'cost',
  'late_cost',
];

export function monthsCsv(
  bills: { meter: MeterRow; month: MonthOf }[],
  money: { currency: string; exponent: number } | null,
): string {
  const amount = (minor: number | null): string => (
    minor === null || money === null ? '' : majorUnits(minor, money.exponent)
  );
  return csvOf(MONTH_COLUMNS, bills.map(({ meter, month: { bill, ...month } }) => [
    meter.meter, month.month, isoOf(month.startS), isoOf(month.endS), month.zone,
    month.closed?.index ?? '', bill.energyMicroWh ?? '', bill.upS, bill.downS, bill.unknownS,
    bill.wanInBytes ?? '', bill.wanOutBytes ?? '', bill.late.energyMicroWh, bill.late.upS,
    bill.late.downS, bill.late.wanInBytes, bill.late.wanOutBytes, money?.currency ?? '',
    amount(bill.costMinor), amount(bill.costMinor === null ? null : bill.lateMinor),
  ]));
}

function csvOf(columns: readonly string[], lines: readonly (readonly (string | number)[])[]): string {
  return [columns, ...lines].map((line) => `${line.join(',')}\r\n`).join('');
}

/** energyMicroWh → energy_micro_wh, minMilliW → min_milli_w. */
function snake(name: string): string {
  return name.replace('WhS', 'Wh').replaceAll(/(?<=[a-z])([A-Z])/g, '_$1').toLowerCase();
}
