// Placed interval records packed into a block, and read again: what the projections keep of a
// meter's day. Owns the block's bytes; they are the ledger's own, never sent, and grown again from
// the log when they change.
//
//     block  = record…                    rising in sequence, the first one predicted from zeros
//     record = mask change…               one change for each bit set in the mask
//     mask   = LEB128                     bit 0 is the last rule of RULES: what changes most
//     change = first byte  c s mmmmmm     c: more follows; s: the difference is negative
//              then        c mmmmmmm …    least significant part first
//
// A field that is as its rule predicts takes no byte. Pure.

import type { RecordRow, TimeSource } from './schema.ts';

type Rule = [
  name: Exclude<keyof RecordRow, 'timeSource'> | 'source',
  /** From the fields before it in this list, the record before, and the one before that. */
  predict: (record: Packed, last: Packed, before: Packed) => number,
];

/** A row with its time's source as a number. */
type Packed = Omit<RecordRow, 'timeSource'> & { source: number };

const SOURCES: readonly TimeSource[] = ['meter', 'boot', 'receipt'];

/** Slope of a counter that rises evenly. */
type Even = 'uptimeS' | 'unixS' | 'upS' | 'probesMade' | 'wanInBytes' | 'wanOutBytes';
const slope = (name: Even): Rule => [name, (_, last, before) => 2 * last[name] - before[name]];
type Steady = 'bootId' | 'calibrationId' | 'timeState' | 'flags' | 'entryIndex' | 'receivedS'
  | 'downS' | 'unknownS' | 'minMilliW' | 'meanMilliW' | 'maxMilliW' | 'diskUsedBytes' | 'source';
const same = (name: Steady): Rule => [name, (_, last) => last[name]];

/** A rule may use what stands above it. */
const RULES: readonly Rule[] = [
  same('source'), same('bootId'), same('calibrationId'), same('timeState'), same('flags'),
  ['firstSeq', (_, last) => last.lastSeq + 1],
  ['lastSeq', (record) => record.firstSeq],
  slope('uptimeS'), slope('unixS'), slope('upS'), same('downS'), same('unknownS'),
  slope('probesMade'),
  ['probesAnswered', (record, last) => last.probesAnswered + record.probesMade - last.probesMade],
  ['atS', (record, last) => (
    record.timeState > 0 ? record.unixS : last.atS + record.uptimeS - last.uptimeS
  )],
  ['startS', (_, last) => last.atS],
  ['stoodS', (record, last) => record.atS - last.atS - ranS(record, last)],
  same('entryIndex'), same('receivedS'), same('minMilliW'), same('meanMilliW'), same('maxMilliW'),
  // The mean over the time that the meter ran is the energy, but for the mean's rounding.
  ['energyMicroWh', (record, last) => (
    last.energyMicroWh + Math.round((record.meanMilliW * ranS(record, last)) / 3.6)
  )],
  slope('wanInBytes'), slope('wanOutBytes'), same('diskUsedBytes'),
];

const ZEROS = Object.fromEntries(RULES.map(([name]) => [name, 0])) as unknown as Packed;

/** A mask of four bytes and 26 changes of eight: what no record exceeds. */
const MOST_BYTES = 4 + RULES.length * 8;

export function packRecords(records: readonly RecordRow[]): Uint8Array {
  const bytes = new Uint8Array(records.length * MOST_BYTES);
  const changes = new Array<number>(RULES.length);
  let [at, last, before] = [0, ZEROS, ZEROS];
  for (const { timeSource, ...rest } of records) {
    const record: Packed = { ...rest, source: SOURCES.indexOf(timeSource) };
    let mask = 0;
    for (let i = 0; i < RULES.length; i++) {
      const [name, predict] = RULES[i];
      changes[i] = record[name] - bounded(predict(record, last, before));
      if (changes[i] !== 0) mask |= bitOf(i);
    }
    at = putNumber(bytes, at, mask);
    for (const change of changes) if (change !== 0) at = putChange(bytes, at, change);
    [before, last] = [last, record];
  }
  return bytes.slice(0, at);
}

/** The inverse of {@link packRecords}. */
export function unpackRecords(bytes: Uint8Array): RecordRow[] {
  const from: From = { bytes, at: 0 };
  const records: RecordRow[] = [];
  let [last, before] = [ZEROS, ZEROS];
  while (from.at < bytes.length) {
    const mask = takeNumber(from);
    const record: Packed = { ...last };
    for (let i = 0; i < RULES.length; i++) {
      const [name, predict] = RULES[i];
      const change = (mask & bitOf(i)) === 0 ? 0 : takeChange(from);
      record[name] = bounded(predict(record, last, before)) + change;
    }
    const { source, ...rest } = record;
    records.push({ ...rest, timeSource: SOURCES[source] });
    [before, last] = [last, record];
  }
  return records;
}

function bitOf(rule: number): number {
  return 1 << (RULES.length - 1 - rule);
}

/** Every field is a safe unsigned integer, so that no difference loses a bit. */
function bounded(value: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, value));
}

function ranS(record: Packed, last: Packed): number {
  return record.upS - last.upS + record.downS - last.downS + record.unknownS - last.unknownS;
}

interface From {
  bytes: Uint8Array;
  at: number;
}

function putNumber(bytes: Uint8Array, at: number, value: number): number {
  let rest = value;
  while (rest >= 128) {
    bytes[at++] = 128 + (rest % 128);
    rest = Math.floor(rest / 128);
  }
  bytes[at++] = rest;
  return at;
}

function takeNumber(from: From): number {
  let [value, scale] = [0, 1];
  for (;;) {
    const byte = from.bytes[from.at++];
    value += (byte % 128) * scale;
    if (byte < 128) return value;
    scale *= 128;
  }
}

function putChange(bytes: Uint8Array, at: number, change: number): number {
  const size = Math.abs(change);
  const sign = change < 0 ? 64 : 0;
  if (size < 64) {
    bytes[at] = sign + size;
    return at + 1;
  }
  bytes[at] = 128 + sign + (size % 64);
  return putNumber(bytes, at + 1, Math.floor(size / 64));
}

function takeChange(from: From): number {
  const byte = from.bytes[from.at++];
  const size = (byte % 64) + (byte >= 128 ? takeNumber(from) * 64 : 0);
  return (byte & 64) === 0 ? size : -size;
}
