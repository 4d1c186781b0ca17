// Places interval records in time. A meter that has just started does not know the time, yet its
// records must neither be lost nor guessed: the boot that they share with a later record, or the
// moment at which their batch arrived, bounds them. Pure; reads no clock and no database.
//
//     boot 7      ├──── r1 ────┼──── r2 ────┤ set by an ack ┼──── r3 ────┤
//     timeState        0             0                            1
//     atS          r3 − Δuptime  r3 − Δuptime                  as recorded

import type { IntervalRecord } from '../../firmware/wire.ts';
import { meterTimeS } from './curve.ts';
import type { RecordRow, TimeSource } from './schema.ts';

/** A record as received, before it has a place. */
export interface Unplaced extends IntervalRecord {
  receivedS: number;
  entryIndex: number;
}

/**
 * Gives each record its interval and says where its time comes from. `records` rise in sequence;
 * `before` is the record placed before them. Times never run backwards, nor past the batch's
 * receipt, whatever the meter's clock says: what is drawn later as one line must be one.
 */
export function placeRecords(
  records: Unplaced[], before: RecordRow | null, intervalS: number,
): RecordRow[] {
  const ends = findEnds(records);
  const placed: RecordRow[] = [];
  let last = before;
  records.forEach((record, i) => {
    const atS = Math.max(last?.atS ?? 0, Math.min(ends[i].atS, record.receivedS));
    const startS = Math.min(atS, startOf(record, atS, last, intervalS));
    const stoodS = last === null ? 0 : atS - last.atS - (meterTimeS(record) - meterTimeS(last));
    last = { ...record, atS, startS, stoodS: Math.max(0, stoodS), timeSource: ends[i].source };
    placed.push(last);
  });
  return placed;
}

/** True for a record that a later one of the same boot may still place better. */
export function isLoose(record: RecordRow): boolean {
  return record.timeSource === 'receipt';
}

/** Walks back from the latest record, since only later ones know the time of earlier ones. */
function findEnds(records: Unplaced[]): { atS: number; source: TimeSource }[] {
  const ends: { atS: number; source: TimeSource }[] = [];
  let anchor: { bootId: number; bootedS: number; source: TimeSource } | null = null;
  for (const record of records.toReversed()) {
    if (record.timeState > 0) {
      anchor = { bootId: record.bootId, bootedS: record.unixS - record.uptimeS, source: 'boot' };
      ends.push({ atS: record.unixS, source: 'meter' });
      continue;
    }
    if (anchor?.bootId !== record.bootId) {
      // Nothing of this boot knows the time: it ended, at the latest, when the next one began.
      const latestS: number = Math.min(anchor?.bootedS ?? Infinity, record.receivedS);
      anchor = { bootId: record.bootId, bootedS: latestS - record.uptimeS, source: 'receipt' };
    }
    ends.push({ atS: anchor.bootedS + record.uptimeS, source: anchor.source });
  }
  return ends.reverse();
}

/** Where the record's own interval begins; not before the last record's end, nor its boot. */
function startOf(
  record: Unplaced, atS: number, last: RecordRow | null, intervalS: number,
): number {
  const covered = (record.lastSeq - record.firstSeq + 1) * intervalS;
  const bootedS = atS - record.uptimeS;
  const follows = last !== null && last.lastSeq + 1 === record.firstSeq;
  if (follows) return last.bootId === record.bootId ? last.atS : Math.max(last.atS, bootedS);
  return Math.max(last?.atS ?? 0, bootedS, atS - covered);
}
