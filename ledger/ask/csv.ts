// Published interval records as CSV (RFC 4180): one line a record as the meter signed it, after the
// place in time and in the log that the ledger gave it. Pure.

import { FIELDS } from '../../firmware/wire.ts';
import { isoOf } from './parameters.ts';
import type { RecordRow } from './schema.ts';

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
  return [CSV_COLUMNS, ...lines].map((line) => `${line.join(',')}\r\n`).join('');
}

/** energyMicroWh → energy_micro_wh, minMilliW → min_milli_w. */
function snake(name: string): string {
  return name.replace('WhS', 'Wh').replaceAll(/(?<=[a-z])([A-Z])/g, '_$1').toLowerCase();
}
