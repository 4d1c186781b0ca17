// Reads the projections: prepared statements and the rows that they give, nothing derived. Every
// read is bounded by its caller's window or limit.

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { COUNTERS, zeroMark } from './curve.ts';
import type { Mark, Span, Within } from './curve.ts';
import { nextIndex, PAUSE_TOLERANCE_S, RECORD_COLUMNS } from './schema.ts';
import type { GapRow, MeterRow, RecordRow } from './schema.ts';

export interface Reader {
  /** Enrolled meters by id, after the one named (or from the first). */
  meters(afterId: string, limit: number): MeterRow[];
  meter(id: string): MeterRow | null;
  countMeters(): number;
  /** Records whose interval touches `fromS … toS`, oldest first. */
  records(meter: MeterRow, fromS: number, toS: number): RecordRow[];
  countRecords(meter: MeterRow, fromS: number, toS: number): number;
  /** The same records' intervals alone. */
  intervals(meter: MeterRow, fromS: number, toS: number): Span[];
  lastRecords(meter: MeterRow, limit: number): RecordRow[];
  /** The marks on both sides of each moment, rising; the account's start where none came before. */
  marksAround(meter: MeterRow, edgesS: number[]): Mark[];
  /** What the records in a span say of it. */
  within(meter: MeterRow, span: Span): Within;
  /** The first mark at which a rising sum of counters already stood where it stands in `last`. */
  firstOfLatest(meter: MeterRow, last: RecordRow, sum: (mark: Mark) => number): Mark;
  gaps(meter: MeterRow, limit: number): GapRow[];
  /** Neighbouring records between which the meter had no power, latest first. */
  pauses(meter: MeterRow, limit: number): { before: Mark; after: Mark }[];
  /** Where the neighbours of these sequence numbers place them in time. */
  around(
    meter: MeterRow, firstSeq: number, lastSeq: number,
  ): { startS: number; endS: number | null };
  /** The log entry that the projections want next: changes with every answer that may change. */
  nextIndex(): number;
}

export function createReader(db: DatabaseSync): Reader {
  const sql = prepareAll(db);
  const startOf = (meter: MeterRow): Mark => {
    const first = sql.markFromSeq.get(meter.id, 0) as unknown as Mark | undefined;
    const enrolledS = Math.floor(meter.enrolledMs / 1000);
    return zeroMark(Math.min(enrolledS, first?.atS ?? enrolledS));
  };
  const touching = (statement: StatementSync, meter: MeterRow, fromS: number, toS: number) =>
    statement.all({ meter: meter.id, fromS, toS });
  return {
    meters: (afterId, limit) => sql.meters.all(afterId, limit) as unknown as MeterRow[],
    meter: (id) => (sql.meter.get(id) as unknown as MeterRow | undefined) ?? null,
    countMeters: () => (sql.countMeters.get() as { count: number }).count,
    records: (meter, fromS, toS) =>
      touching(sql.records, meter, fromS, toS) as unknown as RecordRow[],
    countRecords: (meter, fromS, toS) =>
      (touching(sql.countRecords, meter, fromS, toS)[0] as { count: number }).count,
    intervals: (meter, fromS, toS) =>
      touching(sql.intervals, meter, fromS, toS) as unknown as Span[],
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
    within: (meter, { startS, endS }) =>
      touching(sql.within, meter, startS, endS)[0] as unknown as Within,
    firstOfLatest(meter, last, sum) {
      const start = startOf(meter);
      if (sum(start) === sum(last)) return start;
      let [low, high] = [0, last.lastSeq];
      for (;;) {
        const middle = Math.floor((low + high) / 2);
        const mark = sql.markFromSeq.get(meter.id, middle) as unknown as Mark & { lastSeq: number };
        if (low === high) return mark;
        if (sum(mark) === sum(last)) high = middle;
        else low = mark.lastSeq + 1;
      }
    },
    gaps: (meter, limit) => sql.gaps.all(meter.id, limit) as unknown as GapRow[],
    pauses(meter, limit) {
      const afters = sql.pauses.all(meter.id, limit) as unknown as (Mark & { lastSeq: number })[];
      return afters.map((after) => ({
        after, before: sql.markBeforeSeq.get(meter.id, after.lastSeq) as unknown as Mark,
      }));
    },
    around(meter, firstSeq, lastSeq) {
      const before = sql.markBeforeSeq.get(meter.id, firstSeq) as { atS: number } | undefined;
      const after = sql.startAfterSeq.get(meter.id, lastSeq) as { startS: number } | undefined;
      return { startS: before?.atS ?? startOf(meter).atS, endS: after?.startS ?? null };
    },
    nextIndex: () => nextIndex(db),
  };
}

const MARK = ['lastSeq', 'atS', 'bootId', 'uptimeS', ...COUNTERS].join(', ');
const RECORD = RECORD_COLUMNS.join(', ');

/**
 * Records whose interval touches a span. Ends and starts rise together, which SQLite cannot know:
 * the first record to end at or after the span's end is the last one to look at.
 */
const TOUCHING = `FROM record WHERE meterRow = :meter AND atS > :fromS AND startS < :toS
  AND atS <= coalesce((SELECT min(atS) FROM record WHERE meterRow = :meter AND atS >= :toS), :toS)`;

// eslint-disable-next-line @typescript-eslint/explicit-function-return-type
function prepareAll(db: DatabaseSync) {
  const ofMeter = (columns: string, rest: string): StatementSync =>
    db.prepare(`SELECT ${columns} FROM record WHERE meterRow = ? ${rest}`);
  return {
    meters: db.prepare('SELECT * FROM meter WHERE meter > ? ORDER BY meter LIMIT ?'),
    meter: db.prepare('SELECT * FROM meter WHERE meter = ?'),
    countMeters: db.prepare('SELECT count(*) AS count FROM meter'),
    records: db.prepare(`SELECT ${RECORD} ${TOUCHING} ORDER BY atS, lastSeq`),
    countRecords: db.prepare(`SELECT count(*) AS count ${TOUCHING}`),
    intervals: db.prepare(`SELECT startS, atS AS endS ${TOUCHING} ORDER BY atS, lastSeq`),
    within: db.prepare(
      `SELECT coalesce(sum(min(atS, :toS) - max(startS, :fromS)), 0) AS coveredS,
         min(minMilliW) AS minMilliW, max(maxMilliW) AS maxMilliW,
         (SELECT diskUsedBytes ${TOUCHING} ORDER BY atS DESC LIMIT 1) AS diskUsedBytes
       ${TOUCHING} AND startS < atS`,
    ),
    lastRecords: ofMeter(RECORD, 'ORDER BY lastSeq DESC LIMIT ?'),
    markBefore: ofMeter(MARK, 'AND atS <= ? ORDER BY atS DESC, lastSeq DESC LIMIT 1'),
    markAfter: ofMeter(MARK, 'AND atS > ? ORDER BY atS, lastSeq LIMIT 1'),
    markBeforeSeq: ofMeter(MARK, 'AND lastSeq < ? ORDER BY lastSeq DESC LIMIT 1'),
    markFromSeq: ofMeter(MARK, 'AND lastSeq >= ? ORDER BY lastSeq LIMIT 1'),
    startAfterSeq: ofMeter('startS', 'AND lastSeq > ? ORDER BY lastSeq LIMIT 1'),
    gaps: db.prepare(
      `SELECT firstSeq, lastSeq, entryIndex FROM gap
       WHERE meterRow = ? ORDER BY lastSeq DESC LIMIT ?`,
    ),
    pauses: ofMeter(MARK, `AND stoodS > ${PAUSE_TOLERANCE_S} ORDER BY lastSeq DESC LIMIT ?`),
  };
}
