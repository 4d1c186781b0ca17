// Reads the projections: prepared statements and the rows that they give, nothing derived. Every
// read is bounded by its caller's window or limit.

import type { DatabaseSync } from 'node:sqlite';
import { COUNTERS, zeroMark } from './curve.ts';
import type { Mark } from './curve.ts';
import { nextIndex, RECORD_COLUMNS } from './schema.ts';
import type { GapRow, MeterRow, RecordRow } from './schema.ts';

export interface Reader {
  /** Enrolled meters by id, after the one named (or from the first). */
  meters(afterId: string, limit: number): MeterRow[];
  meter(id: string): MeterRow | null;
  countMeters(): number;
  /** Records whose interval touches `fromS … toS`, oldest first. */
  records(meter: MeterRow, fromS: number, toS: number): RecordRow[];
  countRecords(meter: MeterRow, fromS: number, toS: number): number;
  lastRecords(meter: MeterRow, limit: number): RecordRow[];
  /** The marks on both sides of each moment, rising; the account's start where none came before. */
  marksAround(meter: MeterRow, edgesS: number[]): Mark[];
  /** The first of the latest marks that all agree with `same`: since then those have stood still. */
  firstOfLatest(meter: MeterRow, same: Partial<Mark>): Mark;
  gaps(meter: MeterRow, limit: number): GapRow[];
  /** Neighbouring records between which the meter stood still for more than `overS`. */
  pauses(meter: MeterRow, overS: number, limit: number): { before: Mark; after: Mark }[];
  /** Where the gap's neighbours place it in time. */
  around(meter: MeterRow, firstSeq: number, lastSeq: number): { startS: number; endS: number | null };
  /** The log entry that the projections want next: changes with every answer that may change. */
  nextIndex(): number;
}

const MARK_COLUMNS = ['atS', 'bootId', 'uptimeS', ...COUNTERS].join(', ');
const ALL_COLUMNS = RECORD_COLUMNS.join(', ');
const METER_TIME = '(upS + downS + unknownS)';

export function createReader(db: DatabaseSync): Reader {
  const sql = prepareAll(db);
  const startOf = (meter: MeterRow): Mark => {
    const first = sql.firstMark.get(meter.id) as unknown as Mark | undefined;
    const enrolledS = Math.floor(meter.enrolledMs / 1000);
    return zeroMark(Math.min(enrolledS, first?.atS ?? enrolledS));
  };
  return {
    meters: (afterId, limit) => sql.meters.all(afterId, limit) as unknown as MeterRow[],
    meter: (id) => (sql.meter.get(id) as unknown as MeterRow | undefined) ?? null,
    countMeters: () => (sql.countMeters.get() as { count: number }).count,
    records: (meter, fromS, toS) => sql.records.all(meter.id, fromS, toS) as unknown as RecordRow[],
    countRecords: (meter, fromS, toS) =>
      (sql.countRecords.get(meter.id, fromS, toS) as { count: number }).count,
    lastRecords: (meter, limit) =>
      (sql.lastRecords.all(meter.id, limit) as unknown as RecordRow[]).reverse(),
    marksAround(meter, edgesS) {
      const marks = [startOf(meter)];
      const put = (row: unknown): void => {
        const mark = row as Mark | undefined;
        if (mark !== undefined && mark.atS >= marks[marks.length - 1].atS) marks.push(mark);
      };
      for (const edgeS of edgesS) {
        // A mark beyond this edge serves every edge before it.
        if (marks[marks.length - 1].atS > edgeS) continue;
        put(sql.markBefore.get(meter.id, edgeS));
        put(sql.markAfter.get(meter.id, edgeS));
      }
      return marks;
    },
    firstOfLatest(meter, same) {
      const start = startOf(meter);
      const { upS, downS, unknownS } = { upS: null, downS: null, unknownS: null, ...same };
      const other = sql.lastOtherwise.get(meter.id, upS, downS, unknownS) as { lastSeq: number } | undefined;
      const fromStart = (upS ?? 0) === 0 && (downS ?? 0) === 0 && (unknownS ?? 0) === 0;
      if (other === undefined && fromStart) return start;
      const first = sql.markAfterSeq.get(meter.id, other?.lastSeq ?? -1);
      return (first as unknown as Mark | undefined) ?? start;
    },
    gaps: (meter, limit) => sql.gaps.all(meter.id, limit) as unknown as GapRow[],
    pauses(meter, overS, limit) {
      const afters = sql.pauses.all(meter.id, overS, limit) as unknown as (Mark & { lastSeq: number })[];
      return afters.map((after) => ({
        after, before: (sql.markOfSeqBefore.get(meter.id, after.lastSeq) as unknown as Mark),
      }));
    },
    around(meter, firstSeq, lastSeq) {
      const before = sql.markOfSeqBefore.get(meter.id, firstSeq) as { atS: number } | undefined;
      const after = sql.startAfterSeq.get(meter.id, lastSeq) as { startS: number } | undefined;
      return { startS: before?.atS ?? startOf(meter).atS, endS: after?.startS ?? null };
    },
    nextIndex: () => nextIndex(db),
  };
}

// eslint-disable-next-line @typescript-eslint/explicit-function-return-type
function prepareAll(db: DatabaseSync) {
  const ofMeter = (columns: string, rest: string) =>
    db.prepare(`SELECT ${columns} FROM record WHERE meterRow = ? ${rest}`);
  return {
    meters: db.prepare('SELECT * FROM meter WHERE meter > ? ORDER BY meter LIMIT ?'),
    meter: db.prepare('SELECT * FROM meter WHERE meter = ?'),
    countMeters: db.prepare('SELECT count(*) AS count FROM meter'),
    records: ofMeter(ALL_COLUMNS, 'AND atS > ? AND startS < ? ORDER BY atS, lastSeq'),
    countRecords: ofMeter('count(*) AS count', 'AND atS > ? AND startS < ?'),
    lastRecords: ofMeter(ALL_COLUMNS, 'ORDER BY lastSeq DESC LIMIT ?'),
    firstMark: ofMeter(MARK_COLUMNS, 'ORDER BY lastSeq LIMIT 1'),
    markBefore: ofMeter(MARK_COLUMNS, 'AND atS <= ? ORDER BY atS DESC, lastSeq DESC LIMIT 1'),
    markAfter: ofMeter(MARK_COLUMNS, 'AND atS > ? ORDER BY atS, lastSeq LIMIT 1'),
    markOfSeqBefore: ofMeter(MARK_COLUMNS, 'AND lastSeq < ? ORDER BY lastSeq DESC LIMIT 1'),
    startAfterSeq: ofMeter('startS', 'AND lastSeq > ? ORDER BY lastSeq LIMIT 1'),
    markAfterSeq: ofMeter(MARK_COLUMNS, 'AND lastSeq > ? ORDER BY lastSeq LIMIT 1'),
    lastOtherwise: ofMeter('lastSeq', `AND NOT (upS = coalesce(?, upS) AND downS = coalesce(?, downS)
      AND unknownS = coalesce(?, unknownS)) ORDER BY lastSeq DESC LIMIT 1`),
    gaps: db.prepare(
      'SELECT firstSeq, lastSeq, entryIndex FROM gap WHERE meterRow = ? ORDER BY lastSeq DESC LIMIT ?',
    ),
    pauses: db.prepare(
      `SELECT lastSeq, ${MARK_COLUMNS} FROM (
         SELECT lastSeq, ${MARK_COLUMNS},
           atS - lag(atS) OVER earlier - (${METER_TIME} - lag${METER_TIME} OVER earlier) AS stoodS
         FROM record WHERE meterRow = ? WINDOW earlier AS (ORDER BY lastSeq))
       WHERE stoodS > ? ORDER BY lastSeq DESC LIMIT ?`,
    ),
  };
}
